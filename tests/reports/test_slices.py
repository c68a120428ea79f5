import nibabel as nib
import numpy as np
import pytest

from bidsapp.reports.slices import (
    AXIAL,
    CORONAL,
    PLANES,
    SAGITTAL,
    Box,
    bounding_box,
    canonical,
    cut,
    grey_window,
    spread,
)


def ball(shape=(20, 24, 16), centre=(10, 12, 8), radius=5):
    grid = np.indices(shape)
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
@pytest.mark.parametrize("count", [1, 2, 6, 50])
def test_chosen_slices_meet_the_mask(plane, count):
    mask = ball()
    mask[:, :, 9] = False  # a gap must not be chosen either
    chosen = spread(mask, plane, count)
    assert 0 < len(chosen) <= count
    assert chosen == sorted(set(chosen))
    assert all(mask.take(index, axis=plane.normal).any() for index in chosen)


def test_one_slice_is_the_middle_and_six_reach_far():
    mask = ball(radius=6)
    assert spread(mask, AXIAL, 1) == [8]
    six = spread(mask, CORONAL, 6)
    assert six[0] <= 12 - 3
    assert six[-1] >= 12 + 3


def test_bounding_box_has_the_margin_in_mm_and_stays_inside_the_image():
    mask = np.zeros((20, 20, 10), bool)
    mask[5:9, 6:8, 1:4] = True
    box = bounding_box(mask, (1.0, 2.0, 3.0), margin=4.0)
    assert box == Box((1, 4, 0), (13, 10, 5))
    assert box.size(AXIAL, (1.0, 2.0, 3.0)) == (12.0, 12.0)
    assert box.size(SAGITTAL, (1.0, 2.0, 3.0)) == (12.0, 15.0)


def test_an_empty_mask_has_no_box():
    with pytest.raises(ValueError, match="empty"):
        bounding_box(np.zeros((3, 3, 3), bool), (1.0, 1.0, 1.0), margin=1.0)


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "ASR", "SLP"])
def test_left_is_left_however_the_file_is_stored(codes):
    """A bright voxel in the patient's left front top appears left in axial, left and up in coronal views."""
    voxels = np.zeros((9, 11, 13), np.float32)
    voxels[1, 9, 11] = 1
    image = nib.Nifti1Image(voxels, np.diag([1.0, 2.0, 3.0, 1.0]))
    start = nib.orientations.io_orientation(image.affine)
    turn = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(codes))
    head = canonical(image.as_reoriented(turn))
    assert head.spacing == (1.0, 2.0, 3.0)
    whole = Box((0, 0, 0), (9, 11, 13))
    for plane, index, across, up in ((AXIAL, 11, 1, 9), (CORONAL, 9, 1, 11), (SAGITTAL, 1, 9, 11)):
        picture = cut(head.voxels, plane, index, whole)
        assert np.argwhere(picture == 1).tolist() == [[up, across]]
    assert (AXIAL.left, AXIAL.right, CORONAL.left, SAGITTAL.right) == ("L", "R", "L", "A")


def test_an_oblique_image_keeps_its_spacing():
    angle = np.deg2rad(16)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.5, 0.5, 4.0])
    head = canonical(nib.Nifti1Image(np.zeros((8, 8, 4), np.float32), affine))
    assert head.spacing == pytest.approx((0.5, 0.5, 4.0))


def test_the_grey_window_looks_inside_the_mask_only():
    voxels = np.linspace(0, 1000, 1001, dtype=np.float32).reshape(1, 1, -1)
    mask = (voxels >= 200) & (voxels <= 400)
    assert grey_window(voxels, mask) == pytest.approx((201, 399))
    low, high = grey_window(np.zeros_like(voxels), mask)
    assert low < high
