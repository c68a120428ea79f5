"""Options that spread a run over jobs."""

import pytest

from bidsapp.cli.main import main
from bidsapp.cli.parser import settings_from
from bidsapp.errors import NoInputError, UsageError

PLACES = ["/data", "/out", "participant"]


def test_parts_and_plugins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugin.yml").write_text("plugin: SLURM\n")
    settings = settings_from([*PLACES, "--shard", "2/7", "--use-plugin", "plugin.yml"])
    assert (settings.shard, settings.use_plugin) == ("2/7", f"{tmp_path}/plugin.yml")
    assert settings_from([*PLACES, "--use-plugin", "SLURMGraph"]).use_plugin == "SLURMGraph"
    assert (settings_from(PLACES).shard, settings_from(PLACES).use_plugin) == (None, None)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ([*PLACES, "--shard", "0/7"], UsageError, "--shard: '0/7' is no part of a whole"),
        ([*PLACES, "group", "--shard", "1/7"], UsageError, "the group level needs all participants"),
        (["/data", "/out", "group", "--use-plugin", "SLURM"], UsageError, "plugins run the participant level"),
        ([*PLACES, "--use-plugin", "Slurm"], NoInputError, "/Slurm: No such file"),
        (
            [*PLACES, "--use-plugin", "SLURMGraph", "--stop-on-first-crash"],
            UsageError,
            "^--stop-on-first-crash: SLURMGraph submits all steps at once",
        ),
    ],
)
def test_what_is_of_no_use_is_named(words, error, said):
    with pytest.raises(error, match=said):
        settings_from(words)


def test_a_number_of_jobs_is_refused_where_all_are_submitted_at_once(tmp_path):
    file = tmp_path / "plugin.yml"
    words = [*PLACES, "--use-plugin", str(file), "--stop-on-first-crash"]
    file.write_text("plugin: SLURM\nplugin_args: {max_jobs: 5}\n")
    assert settings_from(words).stop_on_first_crash
    file.write_text("plugin: SLURMGraph\nplugin_args: {max_jobs: 5}\n")
    with pytest.raises(UsageError, match=r"^--stop-on-first-crash and max_jobs: SLURMGraph submits") as raised:
        settings_from(words)
    assert raised.value.hint == "give --use-plugin SLURM"


def test_a_part_with_nothing_in_it_ends_well(tmp_path, capsys):
    image = tmp_path / "raw/sub-01/anat/sub-01_T1w.nii.gz"
    image.parent.mkdir(parents=True)
    image.touch()
    (tmp_path / "raw/dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.10.0"}')
    words = [str(tmp_path / "raw"), str(tmp_path / "out"), "participant", "--nprocs", "3", "--mem", "5G"]
    assert main([*words, "--shard", "2/2"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("granted: 3 CPUs (--nprocs), 5.0 GB (--mem), ")
    assert said[-1] == "synthprep: no visit [exit 0]"
