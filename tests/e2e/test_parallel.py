"""Many participant jobs that write into one folder at once, and a group job after: nothing torn, nothing lost."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytestmark = pytest.mark.slow

# `make parallel-test` has 20.
JOBS = int(os.environ.get("SYNTHPREP_PARALLEL_JOBS", "4"))
SMALL = ["--sloppy", "--resolution", "4", "--nprocs", "1"]
ROOT = {
    *(
        ".bidsignore",
        "README.md",
        "dataset_description.json",
        "descriptions.tsv",
        "participants.tsv",
        "scans.json",
    ),
    *("group.html", "group_metrics.tsv", "group_comparison.tsv"),
}


@pytest.fixture(scope="module")
def raw(phantom_cohort, tmp_path_factory):
    """As many participants as jobs, each with voxels of their own; one of them lacks the FLAIR."""
    root = tmp_path_factory.mktemp("parallel") / "raw"
    for number in range(1, JOBS + 1):
        for contrast in ("T1w", "FLAIR") if number > 1 else ("T1w",):
            image = nib.load(phantom_cohort / f"sub-01/ses-1/anat/sub-01_ses-1_{contrast}.nii.gz")
            voxels = image.get_fdata() * (1 + number / 1000)
            path = root / f"sub-{number:02d}/anat/sub-{number:02d}_{contrast}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(voxels.astype(np.float32), image.affine), path)
    (root / "dataset_description.json").write_text('{"Name": "many", "BIDSVersion": "1.10.0"}')
    return root


@pytest.fixture(scope="module")
def out(raw, tmp_path_factory):
    """Where all jobs have written, and the group job after them."""
    out = tmp_path_factory.mktemp("parallel") / "out"
    program = [sys.executable, "-m", "bidsapp", str(raw), str(out)]
    jobs = [
        subprocess.Popen(
            [*program, "participant", *SMALL, "--shard", f"{n}/{JOBS}"], stderr=subprocess.PIPE, text=True
        )
        for n in range(1, JOBS + 1)
    ]
    for job in jobs:
        _, said = job.communicate(timeout=3000)
        assert job.returncode == 0, said
        assert said.splitlines()[-1] == "synthprep: 1 done [exit 0]"
    words = ["--sloppy", "--max-steps", "4", "--device", "cpu", "--no-baseline"]
    group = subprocess.run([*program, "group", *words], capture_output=True, text=True, check=False)
    assert group.returncode == 0, group.stderr
    assert group.stderr.splitlines()[-1] == f"synthprep: {JOBS} done [exit 0]"
    return out


def test_no_participant_is_lost(out):
    with (out / "participants.tsv").open() as file:
        listed = [row["participant_id"] for row in csv.DictReader(file, delimiter="\t")]
    assert listed == [f"sub-{number:02d}" for number in range(1, JOBS + 1)]
    runs = [
        json.loads((folder / "status.json").read_text())
        for folder in (out / "logs").iterdir()
        if (folder / "status.json").is_file()
    ]
    assert sorted(len(run["visits"]) for run in runs) == [*([1] * JOBS), JOBS]


def test_every_participant_has_what_the_others_have(out):
    files = [
        {
            path.relative_to(folder).as_posix().replace(folder.name, "")
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in sorted(out.glob("sub-*/"))
    ]
    assert len(files) == JOBS
    assert all(some == files[-1] for some in files[1:])
    assert files[0] < files[1]
    # Of the FLAIR: three images and its transform, with sidecars; five figures, and its histogram.
    assert len(files[1] - files[0]) == 2 * 4 + 5 + 1


def test_nothing_is_torn_and_nothing_is_left_behind(out):
    assert {path.name for path in out.iterdir()} > ROOT
    there = [path for path in out.rglob("*") if "work" not in path.relative_to(out).parts and path.is_file()]
    assert [path for path in there if path.name.startswith(".") and path.name != ".bidsignore"] == []
    for path in there:
        assert path.stat().st_size > 0 or path.suffix == ".log", path
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".tsv":
            assert len({line.count("\t") for line in path.read_text().splitlines()}) == 1, path
        elif path.name.endswith(".nii.gz"):
            assert np.isfinite(nib.load(path).get_fdata()).all()


def test_the_validator_finds_no_error(out):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    result = subprocess.run([validator, out, "--format", "json"], capture_output=True, text=True, check=False)
    issues = json.loads(result.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
