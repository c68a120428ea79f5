"""The command line on a simulated cohort, coarse and quick: what comes out, and what a second run costs."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytestmark = pytest.mark.slow

SYNTH = "sub-03/ses-2/anat/sub-03_ses-2_desc-synth_FLAIR"


def synthprep(*words):
    command = [sys.executable, "-m", "bidsapp", *map(str, words), "--sloppy", "--max-steps", "4", "--nprocs", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def images(out):
    files = [*out.glob("sub-*/**/*.nii.gz"), *out.glob("sub-*/**/*_xfm.txt"), *out.glob("models/*/*.safetensors")]
    return {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in files}


@pytest.fixture(scope="module")
def run(phantom_cohort, tmp_path_factory):
    """Both levels, once."""
    out = tmp_path_factory.mktemp("e2e") / "out"
    return out, synthprep(phantom_cohort, out, "participant", "group")


def test_everything_is_there(run):
    out, result = run
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "synthprep: 4 done [exit 0]"
    assert len(list(out.glob("sub-*/ses-*/anat/*_desc-synth_FLAIR.nii.gz"))) == 4
    assert len(list(out.glob("sub-*/ses-*/anat/*_space-T1w_desc-normalized_FLAIR.nii.gz"))) == 2
    assert (out / "group.html").is_file()
    assert "sub-01_ses-1" in result.stdout


def errors_of(out):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    result = subprocess.run([validator, out, "--format", "json"], capture_output=True, text=True, check=False)
    return [issue for issue in json.loads(result.stdout)["issues"]["issues"] if issue["severity"] == "error"]


def test_the_validator_finds_no_error(run):
    assert errors_of(run[0]) == []


def test_images_on_the_acquired_grid_need_no_new_training(run, phantom_cohort, tmp_path):
    out = shutil.copytree(run[0], tmp_path / "out", ignore=shutil.ignore_patterns("work"))
    before = images(out)
    flair = out / "sub-01/ses-1/anat/sub-01_ses-1_space-T1w_desc-preproc_FLAIR.nii.gz"
    result = synthprep(phantom_cohort, out, "group", "--synth-space", "native", "--match-to", flair)
    assert result.returncode == 0, result.stderr
    changed = {path for path, time in images(out).items() if before.get(path) != time}
    assert len(changed) == 8
    assert all("_desc-synth_FLAIR" in path or "_desc-synthUncertainty_FLAIR" in path for path in changed)
    acquired = nib.load(phantom_cohort / "sub-03/ses-2/anat/sub-03_ses-2_T1w.nii.gz")
    written = nib.load(out / f"{SYNTH}.nii.gz")
    assert written.shape == acquired.shape
    assert np.allclose(written.affine, acquired.affine, atol=1e-4)
    sidecar = json.loads((out / f"{SYNTH}.json").read_text())
    assert sidecar["SpatialReference"] == "bids:raw:sub-03/ses-2/anat/sub-03_ses-2_T1w.nii.gz"
    assert sidecar["IntensityScale"]["Of"] == f"bids::{flair.relative_to(out)}"
    assert errors_of(out) == []


def test_sidecar_of_the_synthesized_image(run):
    out, _ = run
    sidecar = json.loads((out / f"{SYNTH}.json").read_text())
    assert sidecar["Synthetic"] is True
    assert sidecar["InTrainingSet"] is False  # sub-03 never had a FLAIR
    assert len(sidecar["Model"]["SHA256"]) == 64
    assert all((out / source.removeprefix("bids::")).is_file() for source in sidecar["Sources"])
    assert sidecar["IntensityScale"]["Scale"] > 0
    assert sidecar["Description"].startswith("SLOPPY")
    other = json.loads((out / "sub-01/ses-1/anat/sub-01_ses-1_desc-synth_FLAIR.json").read_text())
    assert other["InTrainingSet"] is True
    splits = (out / other["Model"]["URI"].removeprefix("bids::") / "splits.tsv").read_text()
    assert f"sub-01_ses-1\tsub-01\t{other['Fold']}\ttrue" in splits


def test_verdict_on_the_synthesized_image(run):
    out, result = run
    verdict = json.loads((out / f"{SYNTH}.json").read_text())["Verdict"]
    assert verdict["Label"] in {"trust", "caution", "reject"}
    assert (verdict["FalseAlarmRate"], verdict["CalibratedOn"]) == (0.02, {"Participants": 2, "Visits": 2})
    assert {"likeness:T1w", "orientation:T1w", "unfamiliarity", "uncertainty"} <= set(verdict["Scores"])
    table = (out / "sub-03/ses-2/sub-03_ses-2_scans.tsv").read_text().splitlines()
    header, row = table[0].split("\t"), table[-1].split("\t")
    assert row[header.index("filename")] == f"anat/{SYNTH.rpartition('/')[2]}.nii.gz"
    assert row[header.index("verdict")] == verdict["Label"]
    assert f"Synthesized image: {verdict['Label']}." in (out / "sub-03_ses-2.html").read_text()
    assert "Verdicts" in result.stdout


def test_uncertainty_of_the_synthesized_image(run):
    out, _ = run
    image, doubt = (
        nib.load(out / f"{SYNTH.replace('synth_', f'{desc}_')}.nii.gz") for desc in ("synth", "synthUncertainty")
    )
    inside = np.asarray(image.dataobj) != 0
    half = np.asarray(doubt.dataobj)
    assert half[inside].min() > 0
    assert (half[~inside] == 0).mean() > 0.999  # a predicted value may be 0 itself
    about = json.loads((out / f"{SYNTH.replace('synth_', 'synthUncertainty_')}.json").read_text())
    assert about["Sources"] == [f"bids::{SYNTH}.nii.gz"]
    assert (about["Level"], about["Calibration"]["Participants"]) == (0.9, 2)
    other = "sub-01/ses-1/anat/sub-01_ses-1_desc-synth"
    assert json.loads((out / f"{other}Uncertainty_FLAIR.json").read_text())["Calibration"]["Participants"] == 1
    interval = json.loads((out / f"{other}_FLAIR.json").read_text())["Interval"]
    assert 0.5 < interval["coverage"] < 1
    assert interval["interval_width"] > 0


def test_registration_undoes_the_motion_of_the_simulation(run, phantom_cohort):
    from bidsapp.imaging.transforms import LinearTransform, mean_displacement, read_itk
    from bidsapp.phantom.truth import read_truth

    out, _ = run
    found = read_itk(out / "sub-01/ses-1/anat/sub-01_ses-1_from-FLAIR_to-T1w_mode-image_xfm.txt")
    truth = read_truth(phantom_cohort, "sub-01_ses-1", "FLAIR")
    brain = read_truth(phantom_cohort, "sub-01_ses-1", "T1w").brain
    assert mean_displacement(found, LinearTransform(truth.motion), brain) < 1.5  # two coarse levels only


def test_a_second_run_computes_nothing(run, phantom_cohort):
    out, _ = run
    before = images(out)
    result = synthprep(phantom_cohort, out, "participant", "group")
    assert result.returncode == 0, result.stderr
    assert images(out) == before
    logs = sorted(out.glob("logs/*/synthprep.log"))
    assert "Cached" in logs[-1].read_text()
    assert "[Node] Executing" not in logs[-1].read_text()


def test_a_deleted_output_is_written_again(run, phantom_cohort):
    out, _ = run
    lost = out / "sub-01/ses-1/anat/sub-01_ses-1_desc-preproc_T1w.nii.gz"
    content = hashlib.sha256(lost.read_bytes()).hexdigest()
    lost.unlink()
    assert synthprep(phantom_cohort, out, "participant", "--participant-label", "01").returncode == 0
    assert hashlib.sha256(lost.read_bytes()).hexdigest() == content


def test_a_bundle_gives_a_dataset_without_targets_the_same_voxels(run, phantom_cohort, tmp_path):
    out, _ = run
    raw = shutil.copytree(
        phantom_cohort, tmp_path / "raw", ignore=shutil.ignore_patterns("*FLAIR*", "sub-02", "sourcedata")
    )
    (model,) = (out / "models").glob("*/bundle.json")
    result = synthprep(raw, tmp_path / "out", "participant", "group", "--model", model.parent)
    assert result.returncode == 0, result.stderr
    for name in (SYNTH, "sub-01/ses-1/anat/sub-01_ses-1_desc-synth_FLAIR"):
        ours, theirs = (
            np.asarray(nib.load(folder / f"{name}.nii.gz").dataobj) for folder in (out, tmp_path / "out")
        )
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    "launcher", [["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"], []]
)
def test_two_processes_train_as_one(run, phantom_cohort, tmp_path, launcher):
    out = shutil.copytree(run[0], tmp_path / "out", ignore=shutil.ignore_patterns("work", "models", "logs"))
    words = ["-m", "bidsapp", phantom_cohort, out, "group", "--sloppy", "--max-steps", "4", "--devices", "2"]
    command = [sys.executable, *launcher, *map(str, words), "--device", "cpu"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if line.startswith("synthprep: ")] == [
        "synthprep: 4 done [exit 0]"
    ]
    alone, shared = (
        np.loadtxt(next(folder.glob("models/*/history.tsv")), skiprows=1)[:, -1] for folder in (run[0], out)
    )
    assert shared == pytest.approx(alone, rel=0.02)
    assert len(list(out.glob("logs/*/status.json"))) == 1
    assert not list(out.glob("work/group*"))


def test_a_broken_scan_costs_only_itself(phantom_cohort, tmp_path):
    raw = shutil.copytree(
        phantom_cohort, tmp_path / "raw", ignore=shutil.ignore_patterns("sub-02", "sub-03", "sourcedata")
    )
    broken = raw / "sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz"
    broken.write_bytes(broken.read_bytes()[:2000])
    result = synthprep(raw, tmp_path / "out", "participant")
    assert result.returncode == 65  # the only visit, and its data
    assert str(broken) in result.stderr
    assert (tmp_path / "out/sub-01/ses-1/anat/sub-01_ses-1_desc-normalized_T1w.nii.gz").is_file()
    assert str(broken) in (tmp_path / "out/sub-01_ses-1.html").read_text()
