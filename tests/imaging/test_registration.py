"""Registration: accuracy, whatever the start."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.imaging.alignment import assess_alignment
from bidsapp.imaging.brain import find_brain
from bidsapp.imaging.registration import Head, best_start, register
from bidsapp.imaging.transforms import LinearTransform, mean_displacement
from bidsapp.phantom.cohort import simulate_cohort
from bidsapp.phantom.deformation import rigid
from bidsapp.phantom.truth import read_truth

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def heads(phantom_cohort):
    """Return T1w and FLAIR of a simulated visit, the transform between them, and the brain."""
    anat = phantom_cohort / "sub-01/ses-1/anat"
    images = [nib.load(anat / f"sub-01_ses-1_{c}.nii.gz") for c in ("T1w", "FLAIR")]
    fixed, moving = (Head(image, find_brain(image).mask) for image in images)
    truth = LinearTransform(read_truth(phantom_cohort, "sub-01_ses-1", "FLAIR").motion)
    return fixed, moving, truth, read_truth(phantom_cohort, "sub-01_ses-1", "T1w").brain


def moved(head, motion):
    return Head(*(nib.Nifti1Image(np.asarray(i.dataobj), motion @ i.affine) for i in (head.image, head.mask)))


@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_a_motion_is_recovered_to_half_a_millimetre(heads, kind):
    fixed, moving, truth, brain = heads
    motion = rigid(np.array([20.0, -10, 15]), np.array([20.0, -10, 15]))
    found = register(fixed, moved(moving, motion), kind)
    assert mean_displacement(found, LinearTransform(motion @ truth.matrix), brain) < 0.5
    assert found.volume_ratio == pytest.approx(1, abs=1e-6 if kind == "rigid" else 0.02)
    assert np.array_equal(register(fixed, moved(moving, motion), kind).matrix, found.matrix)  # to the bit


def test_voxels_of_three_millimetres_are_registered_as_well_whatever_the_haste(tmp_path):
    simulate_cohort(tmp_path, participants=1, resolution=3.0, complete=True)
    anat = tmp_path / "sub-01/ses-1/anat"
    truths = [read_truth(tmp_path, "sub-01_ses-1", contrast) for contrast in ("T1w", "FLAIR")]
    images = [nib.load(anat / f"sub-01_ses-1_{contrast}.nii.gz") for contrast in ("T1w", "FLAIR")]
    heads = [Head(image, truth.brain) for image, truth in zip(images, truths, strict=True)]
    found = register(*heads, sloppy=True)
    assert mean_displacement(found, LinearTransform(truths[1].motion), truths[0].brain) < 0.5


@pytest.mark.parametrize("axis", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, -1.0), (0.58, -0.58, 0.58)])
def test_a_head_far_off_is_found(heads, axis):
    fixed, moving, truth, brain = heads
    motion = rigid(60 * np.array(axis), -60 * np.array(axis))
    found = best_start(fixed, moved(moving, motion))
    assert mean_displacement(found.transform, LinearTransform(motion @ truth.matrix), brain) < 1.5


@pytest.mark.parametrize(("mm", "flagged"), [(0.0, False), (0.8, False), (3.5, True), (20.0, True)])
def test_the_verdict_follows_the_error(heads, mm, flagged):
    fixed, moving, truth, _ = heads
    shift = rigid(np.zeros(3), mm * np.array([0.6, 0, 0.8]))
    wrong = LinearTransform(truth.matrix @ shift)
    alignment = assess_alignment(fixed.image, moving.image, fixed.mask, moving.mask, wrong)
    assert bool(alignment.flags) is flagged
    assert alignment.residual_mm == pytest.approx(mm, abs=0.7)
