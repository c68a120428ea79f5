"""Linear transforms: files and conventions."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.grid import own_grid, resample_mask
from bidsapp.imaging.transforms import LinearTransform, mean_displacement, read_itk, write_itk
from bidsapp.phantom.deformation import rigid


def test_itk_text_round_trip_and_bytes(tmp_path):
    transform = LinearTransform(rigid(np.array([5.0, -3, 8]), np.array([1.0, -2, 3])))
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
    transform = LinearTransform(rigid(np.array([0.0, 0, 20]), np.array([3.0, 4, 0])))
    assert transform.rotation_deg == pytest.approx(20)
    assert transform.displacement_mm(np.zeros(3)) == pytest.approx(5)


def test_mean_displacement_of_a_shift(oblique):
    mask = nib.Nifti1Image(np.ones(oblique.shape, np.uint8), oblique.affine)
    shift = LinearTransform(rigid(np.zeros(3), np.array([0.0, 3, 4])))
    assert mean_displacement(LinearTransform(np.eye(4)), shift, mask) == pytest.approx(5)


def test_shear_is_no_rotation():
    matrix = np.eye(4)
    matrix[:3, :3] = rigid(np.array([0.0, 30, 0]), np.zeros(3))[:3, :3] @ np.diag([1.1, 0.9, 1.2])
    transform = LinearTransform(matrix)
    assert transform.rotation_deg == pytest.approx(30)
    assert transform.volume_ratio == pytest.approx(1.1 * 0.9 * 1.2)


def test_the_ratio_of_volumes_is_before_over_after():
    affine = np.eye(4)
    affine[:3, 3] = -9.5
    cube = np.zeros((20, 20, 20), np.uint8)
    cube[2:18, 2:18, 2:18] = 1
    scan = nib.Nifti1Image(cube, affine)
    transform = LinearTransform(np.diag([2.0, 1, 1, 1]))  # the scan is twice as wide as the reference
    after = np.asarray(resample_mask(scan, own_grid(scan), transform).dataobj)
    assert (int(cube.sum()), int(after.sum())) == (16**3, 8 * 16**2)
    assert transform.volume_ratio == pytest.approx(2)


@pytest.mark.parametrize(
    "content",
    {
        "two transforms": 2 * "Transform: AffineTransform_double_3_3\nParameters: 1 0 0 0 1 0 0 0 1 5 0 0\n"
        "FixedParameters: 0 0 0\n",
        "angles": "Transform: Euler3DTransform_double_3_3\nParameters: 0 0 0.1 5 0 0\nFixedParameters: 0 0 0\n",
        "skews": "Transform: ScaleSkewVersor3DTransform_double_3_3\nParameters: 0 0 0 5 0 0 1 1 1 0 0 0 0 0 0\n"
        "FixedParameters: 0 0 0\n",
        "no number": "Transform: AffineTransform_double_3_3\nParameters: 1 0 0 0 1 0 0 0 1 nan 0 0\n"
        "FixedParameters: 0 0 0\n",
        "a mirror": "Transform: AffineTransform_double_3_3\nParameters: -1 0 0 0 1 0 0 0 1 0 0 0\n"
        "FixedParameters: 0 0 0\n",
    }.items(),
    ids=lambda case: case[0],
)
def test_what_is_not_one_matrix_is_refused(tmp_path, content):
    (tmp_path / "odd.txt").write_text("#Insight Transform File V1.0\n" + content[1])
    with pytest.raises(DataError, match=r"odd\.txt"):
        read_itk(tmp_path / "odd.txt")


def test_a_transform_knows_its_kind():
    turn = rigid(np.array([5.0, -3, 8]), np.array([1.0, -2, 3]))
    assert LinearTransform(turn).kind == "Rigid"
    assert LinearTransform(turn @ np.diag([1.01, 1, 1, 1])).kind == "Affine"
