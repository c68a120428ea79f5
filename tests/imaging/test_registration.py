"""Rigid transforms: files, conventions and accuracy."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.registration import (
    RigidTransform,
    mean_displacement,
    read_itk,
    register_rigid,
    write_itk,
)
from bidsapp.phantom.deformation import rigid


def test_itk_text_round_trip_and_bytes(tmp_path):
    transform = RigidTransform(rigid(np.array([5.0, -3, 8]), np.array([1.0, -2, 3])))
    path = write_itk(transform, tmp_path / "a.txt")
    assert np.abs(read_itk(path).matrix - transform.matrix).max() < 1e-10
    assert write_itk(read_itk(path), tmp_path / "b.txt").read_bytes() == path.read_bytes()


def test_centre_of_an_itk_transform_is_honoured(tmp_path):
    path = tmp_path / "centred.txt"
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 0 -1 0 1 0 0 0 0 1 0 0 0\nFixedParameters: 10 0 0\n"
    )
    moved = read_itk(path).matrix @ np.array([-10.0, 0, 0, 1])  # LPS (10, 0, 0) is the centre: it stays
    assert np.allclose(moved[:3], (-10, 0, 0))


def test_no_transform_is_a_data_error(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(DataError, match=r"x\.txt"):
        read_itk(tmp_path / "x.txt")


def test_angle_and_displacement():
    transform = RigidTransform(rigid(np.array([0.0, 0, 20]), np.array([3.0, 4, 0])))
    assert transform.rotation_deg == pytest.approx(20)
    assert transform.displacement_mm(np.zeros(3)) == pytest.approx(5)


def test_mean_displacement_of_a_shift(oblique):
    mask = nib.Nifti1Image(np.ones(oblique.shape, np.uint8), oblique.affine)
    shift = RigidTransform(rigid(np.zeros(3), np.array([0.0, 3, 4])))
    assert mean_displacement(RigidTransform(np.eye(4)), shift, mask) == pytest.approx(5)


@pytest.mark.slow
@pytest.mark.parametrize(("degrees", "mm"), [((20.0, -10, 15), (20.0, -10, 15)), ((0.0, 0, 30), (-30.0, 0, 0))])
def test_phantom_motion_is_recovered_to_half_a_millimetre(phantom_cohort, degrees, mm):
    from bidsapp.phantom.truth import read_truth

    truth = read_truth(phantom_cohort, "sub-01_ses-1", "FLAIR")
    anat = phantom_cohort / "sub-01/ses-1/anat"
    fixed, moving = (nib.load(anat / f"sub-01_ses-1_{c}.nii.gz") for c in ("T1w", "FLAIR"))
    motion = rigid(np.array(degrees), np.array(mm))
    moved = nib.Nifti1Image(np.asarray(moving.dataobj, np.float32), motion @ moving.affine)
    fixed = nib.Nifti1Image(np.asarray(fixed.dataobj, np.float32), fixed.affine)
    found = register_rigid(fixed, moved)
    brain = read_truth(phantom_cohort, "sub-01_ses-1", "T1w").brain
    assert mean_displacement(found, RigidTransform(motion @ truth.motion), brain) < 0.5
    assert np.array_equal(register_rigid(fixed, moved).matrix, found.matrix)  # to the bit
