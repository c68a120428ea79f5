"""The scripts of docs/hpc.md and Nipype's plugins, on a real SLURM: `make slurm-test`."""

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "docs/hpc"
SMALL = ["--sloppy", "--resolution", "4"]
# What a job of this test may have on a computer of two processors.
MODEST = ["--cpus-per-task=1", "--mem=4000M", "--time=30"]


@pytest.fixture(scope="module")
def raw(phantom_cohort, tmp_path_factory):
    """Three participants, four visits."""
    return shutil.copytree(phantom_cohort, tmp_path_factory.mktemp("slurm") / "raw")


def submit(cluster, folder, *words):
    result = subprocess.run(
        ["sbatch", "--parsable", f"--chdir={folder}", *map(str, words)],
        env=cluster,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def ended(cluster, jobs, seconds=1500):
    """Wait for jobs, and return their states; of an array those of each of its jobs."""
    last = time.monotonic() + seconds
    queue = ["squeue", "--noheader", "--array", "--states=all", "--format=%T", f"--jobs={','.join(jobs)}"]
    while True:
        states = subprocess.run(queue, env=cluster, capture_output=True, text=True, check=True).stdout.split()
        if not {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING"} & set(states):
            return states
        assert time.monotonic() < last, "jobs do not end"
        time.sleep(1)


def test_an_array_of_participants_a_group_job_after_it_and_a_shared_training(cluster, raw, tmp_path):
    out = tmp_path / "out"
    array = submit(cluster, tmp_path, "--array=1-3", *MODEST, SCRIPTS / "participants.sbatch", 3, raw, out, *SMALL)
    short = ["--sloppy", "--max-steps", 4, "--device", "cpu", "--no-baseline"]
    after = f"--dependency=afterany:{array}"
    group = submit(cluster, tmp_path, after, *MODEST, SCRIPTS / "group.sbatch", raw, out, *short)
    logs = lambda: "\n".join(f"{p.name}:\n{p.read_text()}" for p in sorted(tmp_path.glob("*.log")))  # noqa: E731
    assert set(ended(cluster, [array, group])) == {"COMPLETED"}, logs()
    statuses = [json.loads(path.read_text()) for path in out.glob("logs/*/status.json")]
    assert len(statuses) == 4
    assert {status["exit_code"] for status in statuses} == {0}
    visits = sorted(visit["visit"] for status in statuses for visit in status["visits"])
    assert visits == sorted(2 * ["sub-01_ses-1", "sub-02_ses-1", "sub-03_ses-1", "sub-03_ses-2"])
    with (out / "participants.tsv").open() as file:
        assert [row["participant_id"] for row in csv.DictReader(file, delimiter="\t")] == [
            "sub-01",
            "sub-02",
            "sub-03",
        ]
    assert len(list(out.glob("sub-*/ses-*/anat/*_desc-synth_FLAIR.nii.gz"))) == 4
    told = (tmp_path / f"synthprep-{array}-1.log").read_text()
    assert "granted: 1 CPUs (SLURM_CPUS_" in told
    assert "4.2 GB (SLURM_MEM_PER_NODE)" in told

    shared = submit(cluster, tmp_path, *MODEST, SCRIPTS / "training.sbatch", raw, out, *short, "--seed", 1)
    assert set(ended(cluster, [shared])) == {"COMPLETED"}, logs()
    assert "4 done [exit 0]" in (tmp_path / f"synthprep-training-{shared}.log").read_text()


def test_parts_with_nothing_to_do_end_well_and_the_group_job_starts_all_the_same(cluster, tmp_path):
    raw = tmp_path / "raw"
    for label in ("01", "02"):
        image = raw / f"sub-{label}/anat/sub-{label}_FLAIR.nii.gz"
        image.parent.mkdir(parents=True)
        image.touch()
    (raw / "dataset_description.json").write_text('{"Name": "few", "BIDSVersion": "1.10.0"}')
    words = [SCRIPTS / "participants.sbatch", 3, raw, tmp_path / "out"]
    array = submit(cluster, tmp_path, "--array=1-3", *MODEST, *words)
    after = f"--dependency=afterany:{array}"
    group = submit(cluster, tmp_path, after, *MODEST, SCRIPTS / "group.sbatch", raw, tmp_path / "out")
    assert ended(cluster, [array]) == ["COMPLETED"] * 3
    said = [(tmp_path / f"synthprep-{array}-{part}.log").read_text().splitlines() for part in (1, 2, 3)]
    assert [lines[-1] for lines in said] == [
        *["synthprep: 1 skipped [exit 0]"] * 2,
        "synthprep: no visit [exit 0]",
    ]
    assert all(lines[0].startswith("granted: 1 CPUs (SLURM_CPUS_") for lines in said)
    assert all("4.2 GB (SLURM_MEM_PER_NODE)" in lines[0] for lines in said)
    assert ended(cluster, [group]) == ["FAILED"]  # nobody has a T1w
    assert "[exit 66]" in (tmp_path / f"synthprep-group-{group}.log").read_text()


@pytest.mark.parametrize("plugin", ["SLURM", "SLURMGraph"])
def test_steps_as_jobs(cluster, raw, tmp_path, plugin):
    """A FLAIR is cut short: it costs itself, and a second run tries its first step only."""
    left_out = shutil.ignore_patterns("sub-02", "sub-03", "sourcedata")
    dataset = shutil.copytree(raw, tmp_path / "raw", ignore=left_out)
    (flair,) = dataset.glob("sub-01/ses-1/anat/*_FLAIR.nii.gz")
    flair.write_bytes(flair.read_bytes()[:3000])
    out, file = tmp_path / "out", tmp_path / "plugin.yml"
    file.write_text(f"plugin: {plugin}\nplugin_args: {{sbatch_args: --time=30}}\n")
    environment = {name: value for name, value in cluster.items() if name != "LOGNAME"}
    words = [str(dataset), str(out), "participant", *SMALL, "--use-plugin", str(file)]
    command = [sys.executable, "-m", "bidsapp", *words]
    for tried in (11, 1):  # ten steps of the T1w, the header of the FLAIR
        before = tried_jobs(cluster)
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=1200, check=False
        )
        assert result.returncode == 65, result.stderr
        assert f"sub-01_ses-1 failed: FLAIR header check: {flair}: " in result.stderr
        assert tried_jobs(cluster) - before == tried
    images = {path.name for path in out.glob("sub-01/ses-1/anat/*_T1w.nii.gz")}
    assert images == {f"sub-01_ses-1_desc-{desc}_T1w.nii.gz" for desc in ("preproc", "normalized")}
    assert not list(out.glob("work/participant/**/*.synthprep-*"))


def tried_jobs(cluster):
    """Return how many jobs have run since the cluster was started."""
    completed = Path(cluster["SLURM_CONF"]).parent / "completed.txt"
    lines = completed.read_text().splitlines() if completed.exists() else []
    return sum("JobState=CANCELLED" not in line for line in lines)
