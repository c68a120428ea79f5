"""A registration and brain masks that are broken on purpose: said everywhere, and kept out of training."""

import csv
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bidsapp.imaging.transforms import LinearTransform, write_itk
from bidsapp.phantom.cohort import simulate_cohort
from bidsapp.phantom.truth import read_truth

pytestmark = pytest.mark.slow
GOOD, SLIPPED, GROWN, HALF = (f"sub-0{n}_ses-1" for n in (1, 3, 4, 5))
SHIFT_MM = 30.0


def shifted(truth):
    moved = np.array(truth.motion)
    moved[0, 3] += SHIFT_MM
    return LinearTransform(moved)


def grown(mask, ml=2350.0):
    """A mask with as much of what lies around the brain as makes it larger than any brain."""
    away = ndimage.distance_transform_edt(np.asarray(mask.dataobj) == 0, sampling=mask.header.get_zooms()[:3])
    voxels = round(ml * 1000 / np.prod(mask.header.get_zooms()[:3]))
    return nib.Nifti1Image((away <= np.sort(away, axis=None)[voxels]).astype(np.uint8), mask.affine)


def lower_half(mask):
    """What of a mask lies below the middle of its extent."""
    data = np.array(mask.dataobj)
    slices = np.flatnonzero(data.any(axis=(0, 1)))
    data[:, :, slices[len(slices) // 2] :] = 0
    return nib.Nifti1Image(data, mask.affine)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Both levels on five participants; two of the masks that are given are broken, and one transform is."""
    folder = tmp_path_factory.mktemp("broken")
    simulate_cohort(folder / "raw", participants=5, resolution=3.0, complete=True)
    for path in sorted((folder / "raw").glob("sub-*/ses-1/anat/*_T1w.nii.gz")):
        visit = path.name.removesuffix("_T1w.nii.gz")
        anat = folder / "given" / path.parent.relative_to(folder / "raw")
        anat.mkdir(parents=True)
        truths = {contrast: read_truth(folder / "raw", visit, contrast) for contrast in ("T1w", "FLAIR")}
        mask = truths["T1w"].brain
        change = {GROWN: grown, HALF: lower_half}.get(visit)
        nib.save(change(mask) if change else mask, anat / f"{visit}_desc-brain_mask.nii.gz")
        nib.save(truths["FLAIR"].brain, anat / f"{visit}_desc-brainFLAIR_mask.nii.gz")
        if visit == SLIPPED:
            write_itk(shifted(truths["FLAIR"]), anat / f"{visit}_from-FLAIR_to-T1w_mode-image_xfm.txt")
    words = ["participant", "group", "--source", "T1w", "--target", "FLAIR", "--sloppy", "--max-steps", "4"]
    words += ["--no-baseline", "--nprocs", "1", "--skull-strip", "precomputed"]
    command = [sys.executable, "-m", "bidsapp", folder / "raw", folder / "out", *words]
    command += ["--derivatives", f"given={folder / 'given'}"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder / "out"


def flags_of(out, visit):
    table = out / visit.replace("_", "/") / f"{visit}_scans.tsv"
    with table.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["contrast"]: row["flags"] for row in rows if "desc-synth" not in row["filename"]}


def learned_from(out):
    (table,) = out.glob("models/*/splits.tsv")
    with table.open(newline="") as file:
        return {row["visit"] for row in csv.DictReader(file, delimiter="\t") if row["trained_on"] == "true"}


def test_a_good_visit_is_not_flagged(run):
    assert flags_of(run, GOOD) == {"T1w": "n/a", "FLAIR": "n/a"}
    page = (run / f"{GOOD}.html").read_text(encoding="utf-8")
    assert "Nothing was flagged" in page
    assert 'class="number bad"' not in page
    assert "Agreement with the acquired FLAIR" in page
    assert "predicted, not acquired" in page


def test_only_good_visits_are_learned_from(run):
    assert learned_from(run) == {GOOD, "sub-02_ses-1"}


def test_a_registration_that_slipped(run):
    flags = flags_of(run, SLIPPED)
    assert flags["T1w"] == "n/a"
    assert "a second search moved the brain by" in flags["FLAIR"]
    page = (run / f"{SLIPPED}.html").read_text(encoding="utf-8")
    assert "Look before you use this visit" in page
    assert "FLAIR was flagged:" in page
    assert page.count(flags["FLAIR"]) >= 4  # on top, with the scan, beside the pictures, among the errors
    assert 'class="number bad"' in page
    assert "Not learned from, and not predicted from." in page
    assert (
        "predicted, not acquired" in page
    )  # its T1w is good, so its FLAIR is predicted; it is compared with nothing
    assert "Agreement with the acquired FLAIR" not in page
    group = (run / "group.html").read_text(encoding="utf-8")
    assert SLIPPED in group
    assert flags["FLAIR"] in group


def test_a_mask_that_is_no_brain(run):
    flags = flags_of(run, GROWN)
    assert "not between 250 and 2200" in flags["T1w"]
    page = (run / f"{GROWN}.html").read_text(encoding="utf-8")
    assert "Nothing of this visit is learned from or predicted." in page
    assert page.count(flags["T1w"]) >= 3
    assert "None so far: the group level adds them here." in page
    assert flags["T1w"] in (run / "group.html").read_text(encoding="utf-8")
    assert not list(run.glob("sub-04/**/*desc-synth_*"))


def test_a_mask_of_half_a_brain(run):
    """It has the volume of a small brain; the mask of the other scan tells."""
    flags = flags_of(run, HALF)
    assert flags["T1w"] == "n/a"
    assert "brain masks overlap by Dice" in flags["FLAIR"]
    assert flags["FLAIR"] in (run / f"{HALF}.html").read_text(encoding="utf-8")
    assert flags["FLAIR"] in (run / "group.html").read_text(encoding="utf-8")
