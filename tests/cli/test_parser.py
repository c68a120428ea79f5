from pathlib import Path

import pytest

from bidsapp.cli.parser import build_parser, settings_from
from bidsapp.config import read_toml
from bidsapp.errors import DataError, ExitCode, NoInputError, UnknownLevelError, UsageError
from bidsapp.records import Space
from bidsapp.settings import Settings

PLACES = ["/data", "/out", "participant"]


def test_defaults_are_those_of_the_settings():
    assert settings_from(PLACES) == Settings(Path("/data"), Path("/out"), ("participant",))


def test_both_levels_run_in_their_order_whatever_was_typed():
    assert settings_from(["/data", "/out", "group", "participant"]).levels == ("participant", "group")


def test_options_may_stand_between_positionals():
    settings = settings_from(["/data", "--source", "T1w", "/out", "-v", "participant", "--sloppy", "group", "-v"])
    assert settings.levels == ("participant", "group")
    assert (settings.verbosity, settings.sloppy) == (2, True)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--participant-label", "sub-01", "02", "01"], "participant_label", ("01", "02")),
        (["--participant_label", "01", "--participant-label", "02"], "participant_label", ("01", "02")),
        (["--session-id", "ses-A", "B"], "session_label", ("A", "B")),
        (["--source", "T1w,T2w"], "source", ("T1w", "T2w")),
        (["--n-cpus", "3"], "nprocs", 3),
        (["--random-seed", "7"], "seed", 7),
        (["--no-baseline"], "baseline", False),
        (["--loss", "l1+ssim"], "loss", "l1+ssim"),
        (["--ema", "0"], "ema", 0.0),
        (["--augmentation", "physics"], "augmentation", "physics"),
        (["--augmentation", "spatial+physics"], "augmentation", "spatial+physics"),
        (["--sampling", "error"], "sampling", "error"),
        (["--plan", "sampling=error"], "sampling", "error"),
        (["--input-mode", "volumes", "--network", "segresnet"], "input_mode", "volumes"),
        (["--input-mode", "slabs", "--slice-axis", "coronal"], "slice_axis", "coronal"),
        (["--lr", "auto"], "lr", "auto"),
        (["--lr", "1e-3"], "lr", "1e-3"),
        (["--epochs", "2.5"], "epochs", 2.5),
        (["-w", "/work"], "work_dir", Path("/work")),
        (["--device", "cpu", "--num-nodes", "1"], "num_nodes", 1),
        (["--mem", "16G"], "mem_gb", 16.0),
        (["--mem", "16000"], "mem_gb", 16.0),
        (["--mem", "1.5GiB"], "mem_gb", 1.5 * 2**30 / 1e9),
        (["--mem", "500mb"], "mem_gb", 0.5),
        (["--notrack"], "debug", False),
        (["-d", "masks=/tmp", "/usr"], "derivatives", ("masks=/tmp", "usr=/usr")),
        (["--reference-policy", "best"], "reference_policy", "best"),
        (["--write-bias-field"], "write_bias_field", True),
        (["--output-spaces", "T1w", "MNI152NLin2009aSym:res-2"], "spaces", (Space("MNI152NLin2009aSym", 2, "2"),)),
    ],
)
def test_option(words, name, value):
    assert getattr(settings_from([*PLACES, *words]), name) == pytest.approx(value)


@pytest.mark.parametrize("text", ["01\nsub-02\n\n", "participant_id\tage\nsub-01\t30\nsub-02\t40\n"])
def test_labels_from_a_file(tmp_path, text):
    file = tmp_path / "labels.tsv"
    file.write_text(text)
    assert settings_from([*PLACES, "--participant-label", str(file)]).participant_label == ("01", "02")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["/data"],
        ["/data", "/out"],
        [*PLACES, "--unknown"],
        [*PLACES, "--max-min", "3"],  # no abbreviations
        [*PLACES, "--output-spaces", "MNI152:2mm"],
        [*PLACES, "--participant-label", "no-such-file"],
        [*PLACES, "--participant-label"],
        [*PLACES, "--max-minutes", "0"],
        [*PLACES, "--max-minutes", "nan"],
        [*PLACES, "--max-steps", "1.5"],
        [*PLACES, "--nprocs", "-1"],
        [*PLACES, "--seed", "-1"],
        [*PLACES, "--mem", "lots"],
        [*PLACES, "--mem", "0"],
        [*PLACES, "--network", "transformer"],
        [*PLACES, "--device", "abacus"],
        [*PLACES, "--source", "T1w,T1w"],
        [*PLACES, "--source", ","],
        [*PLACES, "--source", "FLAIR", "--target", "FLAIR"],
        [*PLACES, "--model", "/", "--crossval"],
        [*PLACES, "--model", "/", "--network", "unet"],
        [*PLACES, "--model", "/", "--loss", "l1"],
        [*PLACES, "--loss", "l2"],
        [*PLACES, "--synth-space", "MNI"],
        [*PLACES, "--augmentation", "some"],
        [*PLACES, "--augmentation", "spatial", "--input-mode", "volumes"],
        [*PLACES, "--sampling", "easy"],
        [*PLACES, "--sampling", "error", "--input-mode", "slice-patches"],
        [*PLACES, "--model", "/", "--sampling", "error"],
        [*PLACES, "--input-mode", "slices", "--network", "segresnet"],
        [*PLACES, "--slice-axis", "coronal"],
        [*PLACES, "--input-mode", "volumes", "--slice-axis", "axial"],
        [*PLACES, "--input-mode", "slices", "--slice-axis", "oblique"],
        *([*PLACES, "--lr", rate] for rate in ("0", "2", "nan", "fast", "-1e-3")),
        [*PLACES, "--epochs", "0"],
        [*PLACES, "--epochs", "2", "--max-steps", "100"],
        [*PLACES, "--ema", "0.3"],
        [*PLACES, "--ema", "-0.1"],
        [*PLACES, "--model", "/", "--ema", "0.1"],
        [*PLACES, "--model", "/", "--norm", "weight"],
        [*PLACES, "--model", "/", "--source", "T1w,T2w", "--allow-missing-source"],
        [*PLACES, "--allow-missing-source"],  # of one source
        [*PLACES, "--network", "seed-resnet", "--norm", "layer"],
        [*PLACES, "--network", "swinunetr"],
        [*PLACES, "--norm", "weight"],
        ["/data", "/out", "group", "--normalization", "none"],
        [*PLACES, "--skull-strip", "precomputed"],
        [*PLACES, "--bias-correction", "precomputed"],
        [*PLACES, "-d", "a=/tmp", "a=/usr"],
        [*PLACES, "-d", "raw=/tmp"],
        *([*PLACES, "-d", word] for word in ("/", "..", "fmriprep=", "=/tmp", "a-b=/tmp", "/usr/../a.b")),
        *([*PLACES, "--target", word] for word in ("", "../x", "FLAIR,T2w", "sub-01")),
        [*PLACES, "--contrasts", "T2w,../x"],
        [*PLACES, "--reference", "T1w.nii"],
        [*PLACES, "--source", "T1w,a_b"],
        ["/data", "/out", "group", "--reference", "FLAIR"],
        [*PLACES, "-w", "/data/work"],
        [*PLACES, "-w", "/data"],
        [*PLACES, "--bias-correction", "none", "--write-bias-field"],
        [*PLACES, "--template-registration", "affine"],
        [*PLACES, "--template-registration", "affine", "--output-spaces", "T1w"],
        ["/data", "/data", "participant"],
        ["/data", "/data/sub-01", "participant"],
        [*PLACES, "--config-file", "/no/such.toml"],
    ],
)
def test_usage_errors(words):
    with pytest.raises(UsageError) as raised:
        settings_from(words)
    assert raised.value.exit_code == ExitCode.USAGE
    assert raised.value.hint


@pytest.mark.parametrize("word", ["T1w:res-2", "anat", "fsnative", "T2w"])
def test_a_visits_own_space_is_no_template_to_fetch(word):
    with pytest.raises(UsageError, match=r"own space.*--resolution"):
        settings_from([*PLACES, "--output-spaces", word])


def test_hounsfield_units_are_no_choice_of_mr():
    with pytest.raises(UsageError, match=r"a CT is always on the HU scale .*robust, zscore"):
        settings_from([*PLACES, "--normalization", "hu"])
    with pytest.raises(UsageError, match="normalization = 'huh' is unknown"):
        settings_from([*PLACES, "--normalization", "huh"])


def test_the_reference_may_be_the_target_where_nothing_is_predicted():
    assert settings_from([*PLACES, "--reference", "FLAIR"]).reference == "FLAIR"


def test_a_dataset_without_a_name_takes_that_of_its_folder(tmp_path, monkeypatch):
    (tmp_path / "fmriprep").mkdir()
    monkeypatch.chdir(tmp_path / "fmriprep")
    assert settings_from([*PLACES, "-d", "."]).derivatives == (f"fmriprep={tmp_path / 'fmriprep'}",)


def test_datasets_of_a_settings_file_are_checked_as_well(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('derivatives = ["=/tmp"]\n')
    with pytest.raises(UsageError, match="'=/tmp': no NAME=PATH"):
        settings_from([*PLACES, "--config-file", str(file)])


def test_work_may_lie_in_the_derivatives_of_the_raw_dataset():
    settings = settings_from([*PLACES, "-w", "/data/derivatives/work"])
    assert settings.work.parent == Path("/data/derivatives/work")


def test_help_says_what_does_nothing_at_the_participant_level():
    texts = {action.dest: action.help for action in build_parser()._actions}
    assert "participant level" in texts["seed"]
    assert "participant level" in texts["omp_nthreads"]


def test_unknown_level():
    with pytest.raises(UnknownLevelError) as raised:
        settings_from(["/data", "/out", "participant", "population"])
    assert raised.value.exit_code == 17
    assert "population" in raised.value.message


def test_missing_bundle_is_found_before_hours_of_work():
    with pytest.raises(NoInputError, match="no-such-bundle"):
        settings_from([*PLACES, "--model", "/no-such-bundle"])


def test_a_folder_that_is_no_bundle_is_found_before_hours_of_work(tmp_path):
    with pytest.raises(DataError, match=r"bundle\.json"):
        settings_from([*PLACES, "--model", str(tmp_path)])


def test_images_may_stay_as_they_are_where_nothing_is_learned_from_them():
    assert settings_from(["/data", "/out", "participant", "--normalization", "none"]).normalization == "none"


def test_missing_derivatives_are_found_before_hours_of_work():
    with pytest.raises(NoInputError, match="/no-such-folder"):
        settings_from([*PLACES, "-d", "theirs=/no-such-folder"])


def test_a_template_that_is_not_there_is_found_before_hours_of_work(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    with pytest.raises(NoInputError, match=r"tpl-MNI152NLin6Asym_res-02_T1w\.nii\.gz") as raised:
        settings_from([*PLACES, "--output-spaces", "MNI152NLin6Asym:res-2"])
    assert "templateflow.api" in raised.value.hint


def test_output_may_lie_in_the_derivatives_of_the_raw_dataset():
    settings = settings_from(["/data", "/data/derivatives/synthprep", "participant"])
    assert settings.output_dir == Path("/data/derivatives/synthprep")


def test_settings_file_alone_repeats_a_run(tmp_path):
    first = settings_from([*PLACES, "--max-steps", "7", "--source", "T1w,T2w", "--no-baseline", "--mem", "2G"])
    file = tmp_path / "config.toml"
    file.write_text(first.to_toml())
    assert settings_from(["--config-file", str(file)]) == first


def test_command_line_wins_over_the_settings_file(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('bids_dir = "/a"\noutput_dir = "/b"\nlevels = ["group"]\nseed = 3\nmax_steps = 5\n')
    settings = settings_from(["/c", "/d", "participant", "--config-file", str(file), "--seed", "4"])
    assert (settings.bids_dir, settings.levels) == (Path("/c"), ("participant",))
    assert (settings.seed, settings.max_steps) == (4, 5)


@pytest.mark.parametrize("line", ['network = "transformer"', "seed = -1", 'levels = ["all"]', "max_steps = 0"])
def test_settings_file_is_checked_like_the_command_line(tmp_path, line):
    file = tmp_path / "config.toml"
    file.write_text(line + "\n")
    words = ["/data", "/out"] if "levels" in line else PLACES
    with pytest.raises(UsageError):
        settings_from([*words, "--config-file", str(file)])


def test_relative_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = settings_from(["data", "out", "participant", "-w", "work"])
    assert (settings.bids_dir, settings.work_dir) == (tmp_path / "data", tmp_path / "work")


def test_settings_repeat_through_toml_with_every_field_set(tmp_path):
    settings = settings_from([*PLACES, "--participant-label", "01", "--session-label", "A", "-w", "/w", "-vv"])
    file = tmp_path / "config.toml"
    file.write_text(settings.to_toml())
    assert Settings(**read_toml(file)) == settings


def test_every_option_has_a_help_text_and_a_setting():
    for action in build_parser()._actions:
        assert action.help
        assert action.dest in {
            *Settings.known_names(),
            "help",
            "version",
            "config_file",
            "notrack",
            "bids_exec_spec",
        }


def test_folds_to_use_again_and_the_range_to_learn_from(tmp_path):
    table = tmp_path / "splits.tsv"
    table.write_text("participant\tfold\n")
    settings = settings_from([*PLACES, "--splits", str(table), "--axial-range", "20,80"])
    assert (settings.splits, settings.axial) == (table, (20.0, 80.0))
    assert settings_from(PLACES).axial is None
    with pytest.raises(NoInputError, match="no such file"):
        settings_from([*PLACES, "--splits", str(tmp_path / "none.tsv")])
    with pytest.raises(UsageError, match="--splits says on whom to train"):
        settings_from([*PLACES, "--splits", str(table), "--model", str(tmp_path)])


@pytest.mark.parametrize("word", ["20", "80,20", "-1,50", "20,101", "low,high", "nan,50", "1,2,3"])
def test_ranges_that_are_none(word):
    with pytest.raises(UsageError, match="--axial-range"):
        settings_from([*PLACES, f"--axial-range={word}"])


def test_a_column_to_stratify_by_is_looked_up_before_anything_starts(tmp_path):
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t30\tF\n")
    words = [str(tmp_path), "/out", "participant", "group", "--stratify"]
    assert settings_from([*words, "sex"]).stratify == "sex"
    with pytest.raises(UsageError, match="no column group; there is age, sex"):
        settings_from([*words, "group"])
    with pytest.raises(UsageError, match="leave none to draw"):
        settings_from([*words, "sex", "--crossval"])


def test_norm_is_of_the_articles_network_and_never_of_the_window():
    assert settings_from([*PLACES, "--network", "seed-resnet", "--norm", "weight"]).norm == "weight"
    for norm in ("instance", "group"):
        with pytest.raises(UsageError, match="statistics are the window's"):
            settings_from([*PLACES, "--network", "seed-resnet", "--norm", norm])


def test_where_and_in_whose_intensities_images_are_written(tmp_path, monkeypatch):
    (tmp_path / "sub-01_desc-preproc_FLAIR.nii.gz").touch()
    monkeypatch.chdir(tmp_path)
    settings = settings_from(
        [*PLACES, "--synth-space", "native", "--match-to", "sub-01_desc-preproc_FLAIR.nii.gz"]
    )
    assert (settings.synth_space, settings.match_to) == ("native", f"{tmp_path}/sub-01_desc-preproc_FLAIR.nii.gz")
    assert settings_from([*PLACES, "--match-to", "normalized"]).match_to == "normalized"
    assert (settings_from(PLACES).synth_space, settings_from(PLACES).match_to) == ("source", None)
    with pytest.raises(NoInputError, match=r"--match-to .*none\.nii\.gz: no such image"):
        settings_from([*PLACES, "--match-to", "none.nii.gz"])
