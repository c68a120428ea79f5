"""Grids and the one interpolation, in millimetres."""

import json

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from bidsapp.imaging.grid import Grid, common_grid, resample, resample_mask, resample_within, visit_grid
from bidsapp.imaging.transforms import LinearTransform


def image_of(data, affine):
    image = nib.Nifti1Image(np.asarray(data, np.float32), affine)
    image.set_sform(affine, 1)
    return image


def test_grid_keeps_directions_and_centre_and_covers_the_field_of_view(oblique):
    grid = common_grid(oblique, 1.0)
    assert grid.shape == (120, 120, 120)
    assert np.allclose(grid.affine[:3, :3], oblique.affine[:3, :3] / 3)
    centres = [
        apply_affine(a, (np.array(s) - 1) / 2)
        for a, s in ((grid.affine, grid.shape), (oblique.affine, oblique.shape))
    ]
    assert np.allclose(*centres, atol=1e-9)


def test_resampling_to_the_same_grid_changes_nothing(oblique):
    grid = common_grid(oblique, 3.0)
    assert np.abs(resample(oblique, grid).get_fdata() - oblique.get_fdata()).max() < 1e-3


def test_spline_reproduces_a_smooth_image_between_voxels(oblique):
    def truth(points):
        x, y, z = points
        return 500 + 100 * np.sin(x / 6) * np.cos(y / 7) + 50 * np.sin(z / 5)

    grid = common_grid(oblique, 1.0)
    indices = np.indices(grid.shape).reshape(3, -1)
    native = np.linalg.inv(oblique.affine) @ grid.affine
    points = native[:3, :3] @ indices + native[:3, 3:]
    inner = ((points > 4) & (points < 35)).all(0)
    error = resample(oblique, grid).get_fdata().reshape(-1) - truth(points)
    assert np.abs(error[inner]).max() < 0.3  # of an amplitude of 150


def test_range_is_kept_and_outside_is_zero():
    data = np.zeros((30, 30, 30), np.float32)
    data[10:20] = 1000.0
    data += 5
    image = image_of(data, np.diag([3.0, 3, 3, 1]))
    grid = common_grid(image, 1.0)
    away = np.eye(4)
    away[0, 3] = 60.0
    moved = resample(image, grid, LinearTransform(away)).get_fdata()
    assert set(np.unique(moved[-55:])) == {0.0}
    kept = resample(image, grid).get_fdata()
    assert kept.min() >= 5.0
    assert kept.max() <= 1005.0


def test_transform_moves_points_of_the_grid_to_points_of_the_image():
    data = np.zeros((40, 40, 40), np.float32)
    data[25, 20, 20] = 1000.0
    image = image_of(data, np.diag([2.0, 2, 2, 1]))
    grid = common_grid(image, 2.0)
    shift = np.eye(4)
    shift[:3, 3] = (10.0, 0.0, 0.0)
    found = resample(image, grid, LinearTransform(shift)).get_fdata()
    assert np.unravel_index(found.argmax(), found.shape) == (20, 20, 20)


def test_fine_voxels_are_averaged_against_aliasing():
    stripes = np.zeros((200, 60, 60), np.float32)
    stripes[::2] = 100.0  # a period of 1 mm, which a 1 mm grid cannot carry
    image = image_of(stripes, np.diag([0.5, 2, 2, 1]))
    values = resample(image, common_grid(image, 1.0)).get_fdata()[20:-20]
    assert values.min() > 40
    assert values.max() < 60


@pytest.mark.parametrize("turned", [False, True])
def test_an_anisotropic_image_keeps_its_own_grid_to_the_voxel(turned):
    noise = np.random.default_rng(0).normal(100, 20, (60, 50, 20))
    affine = np.diag([0.9, 0.9, 3.0, 1])
    motion = LinearTransform(np.diag([-1.0, -1, 1, 1])) if turned else None  # half a turn about z
    image = image_of(noise, affine)
    grid = visit_grid(image, "native")
    if turned:
        grid = Grid(motion.inverse.matrix @ grid.affine, grid.shape)
    kept = resample(image, grid, motion).get_fdata()
    assert np.abs(kept - noise).max() < 1e-3


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_three_edges_go_along_the_head_however_its_image_is_stored(axes):
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1.0, 1, 1])[:, axes]  # (1, 2, 0): from front to back first, as sagittal scans are
    grid = visit_grid(image_of(np.zeros((24, 24, 24)), affine), "1,2,3")
    sizes = np.linalg.norm(grid.affine[:3, :3], axis=0)
    assert [sizes[axes.index(axis)] for axis in range(3)] == pytest.approx([1, 2, 3])
    assert [grid.shape[axes.index(axis)] for axis in range(3)] == [24, 12, 8]


def test_only_axes_that_are_finer_than_the_grid_are_averaged():
    noise = np.random.default_rng(0).normal(100, 20, (60, 60, 60))
    image = image_of(noise, np.eye(4))
    grid = common_grid(image, np.array([1.0, 1.0, 4.0]))
    values = resample(image, grid).get_fdata()
    along_z = ndimage.gaussian_filter1d(noise, np.sqrt(15 / (8 * np.log(2))), axis=2)
    assert values.std() == pytest.approx(along_z.std(), rel=0.1)


def test_mask_keeps_its_volume(oblique):
    mask = nib.Nifti1Image(np.zeros(oblique.shape, np.uint8), oblique.affine)
    mask.set_sform(oblique.affine, 1)
    data = np.zeros(oblique.shape, np.uint8)
    data[10:30, 10:30, 10:30] = 1
    mask = nib.Nifti1Image(data, oblique.affine)
    moved = resample_mask(mask, common_grid(oblique, 1.0))
    assert moved.get_data_dtype() == np.uint8
    assert abs(np.asarray(moved.dataobj).sum() / (20 * 3) ** 3 - 1) < 0.02


def test_a_border_is_mixed_with_no_background():
    x = np.arange(40.0)[:, None, None] + np.zeros((40, 30, 30))
    inside = np.zeros(x.shape, np.uint8)
    inside[10:30, 8:22, 8:22] = 1
    affine = np.diag([2.0, 2, 2, 1])
    grid = Grid(np.diag([-0.9, 1.1, 3.0, 1]) + np.array([[0, 0, 0, 78.0], *[[0.0] * 4] * 3]), (86, 53, 20), code=2)
    ramp = resample_within(image_of(np.where(inside, 100 + x, 0), affine), image_of(inside, affine), grid)
    values = np.asarray(ramp.dataobj)
    kept = np.asarray(resample_mask(image_of(inside, affine), grid).dataobj) > 0
    assert (ramp.shape, int(ramp.header["sform_code"])) == (grid.shape, 2)
    assert np.array_equal(values != 0, kept)
    places = apply_affine(grid.affine, np.argwhere(kept))[:, 0] / 2  # in voxels of the ramp
    error = np.abs(values[kept] - 100 - places)
    assert error.max() < 0.7  # half a voxel beyond the mask, where the ramp is flat; 50 were it mixed with zeros
    assert error[(places > 13) & (places < 26)].max() < 0.02


def test_a_grid_repeats_through_a_sidecar():
    grid = common_grid(image_of(np.zeros((5, 6, 7)), np.diag([-1.1, 2, 3, 1])), 0.7)
    again = Grid.from_json(json.loads(json.dumps(grid.to_json())))
    assert np.array_equal(again.affine, grid.affine)
    assert (again.shape, again.code) == (grid.shape, grid.code)
