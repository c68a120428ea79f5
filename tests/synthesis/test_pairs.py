"""Volumes: cropped, masked, with feature channels."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.synthesis.pairs import AIR, FEATURES, left_right_axis, load_volume


def test_channels_are_zero_outside_the_brain_and_shifted_inside(pairs, plan):
    volume = load_volume(pairs[0], plan.features)
    assert volume.inputs.shape == (plan.inputs, *volume.mask.shape)
    assert not volume.inputs[:, ~volume.mask].any()
    source = np.asarray(nib.load(pairs[0].sources[0]).dataobj)[volume.box]
    assert np.allclose(volume.inputs[0][volume.mask], source[volume.mask] + AIR)
    assert volume.mask.sum() == volume.loss_mask.sum() == 20 * 22 * 20


def test_full_puts_the_crop_back(pairs, plan):
    volume = load_volume(pairs[0], plan.features)
    image = volume.full(np.ones(volume.mask.shape, np.float32), fill=-3)
    assert image.shape == volume.shape
    assert (image == 1).sum() == volume.mask.sum()
    assert set(np.unique(image)) == {-3, 1}


def test_left_right_axis_is_found_in_any_storage_order():
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = 1, -1, 1, 1
    assert left_right_axis(affine) == 1


@pytest.mark.parametrize("name", FEATURES)
def test_features_of_a_mirrored_brain_are_mirrored(name):
    mask = np.zeros((20, 24, 22), bool)
    mask[2:14, 3:20, 4:18] = True
    mask[3:8, 10:12, 18:20] = True
    affine = np.diag([2.0, 2, 2, 1])
    feature, mirrored = (FEATURES[name](m, affine) for m in (mask, mask[::-1]))
    assert np.abs((feature - mirrored[::-1])[mask]).max() < 1e-5
    assert np.isfinite(feature).all()


def test_an_image_on_another_grid_is_named(pairs, plan, tmp_path):
    image = nib.load(pairs[0].target)
    moved = tmp_path / "moved.nii"
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), np.diag([2.0, 2, 2, 1])), moved)
    with pytest.raises(DataError, match=r"moved\.nii.*grid"):
        load_volume(dataclasses.replace(pairs[0], target=moved), plan.features)


def test_an_empty_mask_is_named(pairs, plan, tmp_path):
    empty = tmp_path / "empty.nii"
    nib.save(nib.Nifti1Image(np.zeros((26, 30, 24), np.uint8), np.diag([-2.0, 2, 2, 1])), empty)
    with pytest.raises(DataError, match=r"empty\.nii"):
        load_volume(dataclasses.replace(pairs[0], mask=empty), plan.features)
