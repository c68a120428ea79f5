"""CT: units, masks, registration with a T1w."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bidsapp.errors import DataError
from bidsapp.imaging.alignment import assess_alignment
from bidsapp.imaging.brain import find_brain
from bidsapp.imaging.ct import head_mask, hounsfield, measured_region, soft_tissue
from bidsapp.imaging.quality import brain_volume_ml, mask_overlap
from bidsapp.imaging.registration import Head, register
from bidsapp.imaging.transforms import LinearTransform, mean_displacement
from bidsapp.phantom.deformation import rigid

from ..painted import paint

EDGE = 60


@pytest.fixture
def skull():
    """Return a CT of a ball of brain of 4 cm in a shell of bone in skin, and the ball."""
    distance = np.linalg.norm(np.moveaxis(np.indices([EDGE] * 3), 0, -1) - EDGE / 2, axis=-1) * 2.0
    data = np.full(distance.shape, -1000.0, np.float32)
    data[distance < 52] = 20
    data[distance < 46] = 1200
    data[distance < 40] = 35
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    return nib.Nifti1Image(data, affine), nib.Nifti1Image((distance < 40).astype(np.uint8), affine)


def test_padding_is_clipped_and_said(skull):
    data = skull[0].get_fdata(dtype=np.float32)
    data[:2] = -3024
    image, said = hounsfield(nib.Nifti1Image(data, skull[0].affine))
    assert (image.get_fdata().min(), len(said)) == (-1024, 1)
    assert str(2 * EDGE**2) in said[0]


def test_what_has_no_air_is_refused(skull):
    shifted = nib.Nifti1Image(skull[0].get_fdata(dtype=np.float32) + 1000, skull[0].affine)
    with pytest.raises(DataError, match="no Hounsfield units") as error:
        hounsfield(shifted)
    assert "intercept" in error.value.hint


@pytest.mark.parametrize("shift", [1024, 2000])
def test_padding_is_no_air(skull, shift):
    data = skull[0].get_fdata(dtype=np.float32) + shift
    data[:2] = -2000
    with pytest.raises(DataError, match="no Hounsfield units"):
        hounsfield(nib.Nifti1Image(data, skull[0].affine))


def test_the_brain_is_what_bone_encloses(skull):
    image, ball = skull
    brain = find_brain(image, "ct")
    assert (brain.method, brain.stripped) == ("ct", False)
    assert mask_overlap(brain.mask, ball) > 0.93
    assert brain_volume_ml(head_mask(image)) == pytest.approx(4 / 3 * np.pi * 5.2**3, rel=0.05)


def test_a_table_is_no_head(skull):
    image, _ = skull
    data = image.get_fdata(dtype=np.float32)
    data[5:55, 1:3, :] = 200
    with_table = head_mask(nib.Nifti1Image(data, image.affine))
    assert np.array_equal(with_table.get_fdata(), head_mask(image).get_fdata())


def test_a_table_and_what_was_not_scanned_are_not_measured(skull):
    image, _ = skull
    data = image.get_fdata(dtype=np.float32)
    head = head_mask(image)
    data[5:55, 1:3, :] = -300
    view = np.ones(data.shape, np.uint8)
    view[:, :, 50:] = 0
    found = measured_region(*(nib.Nifti1Image(values, image.affine) for values in (data, head.get_fdata(), view)))
    expected = view > 0
    expected[5:55, 1:3, :] = False
    assert np.array_equal(found.get_fdata() > 0, expected)


def test_skin_that_shares_a_voxel_with_air_is_no_table(skull):
    image, _ = skull
    data = image.get_fdata(dtype=np.float32)
    head = head_mask(image)
    rim = ndimage.binary_dilation(head.get_fdata() > 0) & (head.get_fdata() == 0)
    data[rim] = -600
    view = nib.Nifti1Image(np.ones(data.shape, np.uint8), image.affine)
    assert measured_region(nib.Nifti1Image(data, image.affine), head, view).get_fdata().all()


def test_air_has_no_brain():
    with pytest.raises(DataError, match="density of brain"):
        find_brain(nib.Nifti1Image(np.full((40, 40, 40), -1000, np.float32), np.diag([3.0, 3, 3, 1])), "ct")


def test_a_ct_without_its_skull_is_recognized(skull):
    image, ball = skull
    inside = ball.get_fdata() > 0
    noise = np.random.default_rng(0).normal(0, 4, inside.shape)
    stripped, said = hounsfield(nib.Nifti1Image(np.where(inside, 35 + noise, 0).astype(np.float32), image.affine))
    assert "skull was taken off" in said[0]
    brain = find_brain(stripped, "ct")
    assert brain.stripped
    assert mask_overlap(brain.mask, ball) > 0.99


def test_too_small_a_brain_is_refused_on_ct_as_on_mr(skull):
    small = nib.Nifti1Image(skull[0].get_fdata(dtype=np.float32), np.diag([1.2, 1.2, 1.2, 1.0]))
    with pytest.raises(DataError, match="ml of brain"):
        find_brain(small, "ct")


@pytest.mark.slow
@pytest.mark.parametrize("number", ["01", "09"])
def test_a_real_anatomy_is_found_and_aligned(test_data, number):
    t1w, ct, truth = paint(test_data / f"labelmaps/training_seg_{number}.nii.gz")
    ct, _ = hounsfield(ct)
    brain = find_brain(ct, "ct").mask
    assert mask_overlap(brain, truth) >= 0.94
    motion = rigid(np.array([8.0, -5, 12]), np.array([10.0, -20, 15]))
    moving = Head(*(nib.Nifti1Image(np.asarray(i.dataobj), motion @ i.affine) for i in (soft_tissue(ct), brain)))
    fixed = Head(t1w, find_brain(t1w).mask)
    found = register(fixed, moving)
    assert mean_displacement(found, LinearTransform(motion), truth) < 0.5
    alignment = assess_alignment(fixed.image, moving.image, fixed.mask, moving.mask, found)
    assert not alignment.flags
