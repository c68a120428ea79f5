"""A CT predicted from a T1w, on heads painted from label maps, coarse and quick."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from ..painted import write_dataset

pytestmark = pytest.mark.slow

LEARNED = ("01", "02", "03")  # the fourth has no CT
# A sloppy registration would move painted pairs apart, which lie on each other, and be flagged.
COARSE = ("--resolution", "3")


def synthprep(*words):
    command = [sys.executable, "-m", "bidsapp", *map(str, words), "--nprocs", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def run(test_data, tmp_path_factory):
    """Both levels on four heads, one of them without CT."""
    folder = tmp_path_factory.mktemp("ct")
    labelmaps = [test_data / f"labelmaps/training_seg_{number}.nii.gz" for number in ("04", "09", "13", "20")]
    raw = write_dataset(folder / "raw", labelmaps, without_ct={4})
    out = folder / "out"
    training = ("--max-steps", "60", "--plan", "patch=24", "--loss", "l1+gradient+bone")
    words = (*COARSE, *training, "--crossval", "--no-baseline")
    result = synthprep(raw, out, "participant", "group", "--target", "ct", *words)
    assert result.returncode == 0, result.stderr
    return out, result


def image(out, subject, name):
    return nib.load(out / f"sub-{subject}/anat/sub-{subject}_{name}.nii.gz")


def test_a_ct_is_written_in_hounsfield_units_with_air_around_the_head(run):
    out, _ = run
    for subject in (*LEARNED, "04"):
        synth = image(out, subject, "desc-synth_ct")
        assert synth.get_data_dtype() == np.int16
        values = np.asarray(synth.dataobj)
        head = image(out, subject, "desc-head_mask").get_fdata() > 0
        far = ndimage.distance_transform_edt(~head, sampling=3.0) > 10
        assert (values[far] == -1024).all()
        assert values[~far].std() > 100
        sidecar = json.loads((out / f"sub-{subject}/anat/sub-{subject}_desc-synth_ct.json").read_text())
        assert (sidecar["Units"], sidecar["SkullStripped"]) == ("HU", False)
        assert sidecar["IntensityScale"]["Formula"].endswith("-1024 HU further than 10 mm from the head")
        assert (sidecar["InTrainingSet"], "Fold" in sidecar) == (subject != "04",) * 2
        assert f"bids::sub-{subject}/anat/sub-{subject}_desc-head_mask.nii.gz" in sidecar["Sources"]


def test_air_is_air_and_soft_tissue_is_water(run):
    out, _ = run
    for subject in LEARNED:
        names = "desc-synth_ct", "space-T1w_desc-preproc_ct"
        synth, ct = (np.asarray(image(out, subject, name).dataobj) for name in names)
        head = image(out, subject, "desc-head_mask").get_fdata() > 0
        around = (ndimage.distance_transform_edt(~head, sampling=3.0) <= 10) & ~ndimage.binary_dilation(head)
        brain = image(out, subject, "desc-brain_mask").get_fdata() > 0
        assert np.median(synth[around & (ct < -900)]) == pytest.approx(-1000, abs=100)
        assert np.median(synth[brain]) == pytest.approx(36, abs=100)


def test_tables_and_page_count_in_hounsfield_units(run):
    out, result = run
    with (out / "group_metrics.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["model"] for row in rows} == {"unet", "floor", "forest"}
    for row in rows:
        assert float(row["data_range"]) == 4095
        assert 5 < float(row["mae"]) < 600
        assert 50 < float(row["mae_bone"]) < 2100
        assert row["mae_grey"] == "n/a"
    assert "Mean absolute error in the head and 10 mm around it, HU" in " ".join(result.stdout.split())
    page = (out / "group.html").read_text()
    assert "heads painted from label maps, simulated: nobody was scanned" in page
    assert "inside the head and 10 mm around it, those of intensities with 3 times the weight above" in page


def test_the_validator_finds_no_error(run):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    command = [validator, run[0], "--format", "json"]
    issues = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)["issues"]
    assert [issue for issue in issues["issues"] if issue["severity"] == "error"] == []


def test_a_bundle_gives_a_dataset_without_cts_the_same_voxels(run, test_data, tmp_path):
    labelmap = test_data / "labelmaps/training_seg_20.nii.gz"
    out = tmp_path / "out"
    raw = write_dataset(tmp_path / "raw", [labelmap] * 4, without_ct={1, 2, 3, 4})
    model = ("--model", run[0] / "models/T1w-to-ct_unet", "--participant-label", "04")
    result = synthprep(raw, out, "participant", "group", *model, *COARSE)
    assert result.returncode == 0, result.stderr
    ours, theirs = (np.asarray(image(folder, "04", "desc-synth_ct").dataobj) for folder in (out, run[0]))
    assert np.array_equal(ours, theirs)
