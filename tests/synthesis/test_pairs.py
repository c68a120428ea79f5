"""Volumes: cropped, masked, with feature channels."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from bidsapp.errors import DataError
from bidsapp.scales import IntensityScale, zero_of
from bidsapp.synthesis.pairs import AIR, FEATURES, load_volume


def canonical(path):
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)


def test_channels_are_zero_outside_the_brain_and_shifted_inside(pairs, plan):
    volume = load_volume(pairs[0], plan.features)
    assert volume.inputs.shape == (plan.inputs, *volume.mask.shape)
    assert not volume.inputs[:, ~volume.mask].any()
    source = canonical(pairs[0].sources[0])[volume.box]
    assert np.allclose(volume.inputs[0][volume.mask], source[volume.mask] + AIR)
    assert volume.mask.sum() == volume.loss_mask.sum() == 20 * 22 * 20


def test_full_puts_the_crop_back(pairs, plan):
    volume = load_volume(pairs[0], plan.features)
    image = volume.full(np.ones(volume.mask.shape, np.float32), fill=-3)
    assert image.shape == volume.shape
    assert (image == 1).sum() == volume.mask.sum()
    assert set(np.unique(image)) == {-3, 1}


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "AIL"])
@pytest.mark.parametrize("oblique", [False, True])
def test_a_brain_is_the_same_however_its_files_store_it(pairs, plan, codes, oblique):
    pair = pairs[0]
    tilt = np.eye(4)
    if oblique:
        tilt[:2, :2] = [[0.96, -0.28], [0.28, 0.96]]
    volumes = []
    for order in ("LAS", codes):
        for path in {*pair.sources, pair.mask, pair.target}:
            image = nib.load(path)
            affine = image.affine if volumes else tilt @ image.affine
            turn = ornt_transform(io_orientation(affine), axcodes2ornt(order))
            nib.save(nib.Nifti1Image(np.array(image.dataobj), affine).as_reoriented(turn), path)
        volumes.append(load_volume(pair, plan.features))
    before, after = volumes
    assert "".join(nib.aff2axcodes(after.affine)) == "RAS"
    assert "".join(nib.aff2axcodes(after.stored)) == codes
    for name in ("inputs", "mask", "target", "loss_mask", "affine"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-4)
    written, stored = after.image(after.target, -3.0), nib.load(pair.target)
    assert np.array_equal(written.affine, stored.affine)
    inside = np.asarray(nib.load(pair.mask).dataobj) > 0
    assert np.array_equal(np.asarray(written.dataobj), np.where(inside, np.asarray(stored.dataobj), -3))


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


def test_a_mask_whose_voxels_are_cut_off_is_named(pairs, plan, tmp_path):
    cut = tmp_path / "cut.nii.gz"
    noise = np.random.default_rng(0).integers(0, 2, (26, 30, 24), np.uint8)  # does not fit into the first half
    nib.save(nib.Nifti1Image(noise, np.diag([-2.0, 2, 2, 1])), cut)
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    assert nib.load(cut).shape == (26, 30, 24)
    with pytest.raises(DataError, match=r"cut\.nii\.gz: cannot be read"):
        load_volume(dataclasses.replace(pairs[0], mask=cut), plan.features)


@pytest.mark.parametrize("tilted", [False, True])
def test_an_axial_range_restricts_loss_and_measures_but_not_the_prediction(pairs, plan, tilted):
    pair = pairs[0]
    if tilted:  # stored upside down, with up along the first axis
        for path in {*pair.sources, pair.mask, pair.target}:
            data = np.array(nib.load(path).dataobj)
            affine = np.array([[0, 2, 0, 0], [0, 0, 2, 0], [-2, 0, 0, 9], [0, 0, 0, 1.0]])
            nib.save(nib.Nifti1Image(np.moveaxis(data, 2, 0)[::-1], affine), path)
    whole = load_volume(pair, plan.features)
    part = load_volume(dataclasses.replace(pair, axial_range=(20, 80)), plan.features)
    assert np.array_equal(part.mask, whole.mask)
    assert np.array_equal(part.inputs, whole.inputs)
    slices = np.flatnonzero(part.loss_mask.any(axis=(0, 1)))
    # The brain has 20 slices, the outer ones at 0 and 100 %: 20 % is 3.8 slices above the lowest.
    brain = np.flatnonzero(whole.mask.any(axis=(0, 1)))
    assert (brain[0] + 4, brain[-1] - 4) == (slices[0], slices[-1])
    assert np.array_equal(part.loss_mask[..., slices], whole.mask[..., slices])


def test_a_margin_reaches_into_the_air_and_what_was_not_measured_has_no_loss(pairs, plan, tmp_path):
    measured = np.ones((26, 30, 24), np.uint8)
    measured[:, :6] = 0
    path = tmp_path / "measured.nii"
    nib.save(nib.Nifti1Image(measured, np.diag([-2.0, 2, 2, 1])), path)
    volume = load_volume(dataclasses.replace(pairs[0], margin_mm=4.0, target_mask=path), plan.features)
    whole = volume.full(np.ones(volume.mask.shape, np.float32), fill=0)
    # The mask has 20 × 22 × 20 voxels of 2 mm; two more in every direction are within 4 mm, at corners fewer.
    assert [len(np.flatnonzero(whole.any(axis=axes))) for axes in ((1, 2), (0, 2), (0, 1))] == [24, 26, 24]
    assert whole[1, 4 + 11, 12] == 1
    assert whole[1, 2, 0] == 0
    source = canonical(pairs[0].sources[0])[volume.box]
    assert np.allclose(volume.inputs[0][volume.mask], source[volume.mask] + AIR)
    lost = volume.mask & ~volume.loss_mask
    assert np.array_equal(lost, volume.mask & (measured[volume.box] == 0))
    assert lost.any()


@pytest.mark.parametrize(("offset", "brain"), [(90.0, 90.0), (0.0, 30.0)])
def test_air_is_nothing_and_the_brain_five_where_the_zero_is_known(pairs, plan, tmp_path, offset, brain):
    scale = IntensityScale("robust", offset, 30.0)
    signal = np.zeros((26, 30, 24), np.float32)
    signal[:13] = brain
    path = tmp_path / "source.nii"
    nib.save(nib.Nifti1Image(scale.forward(signal), np.diag([-2.0, 2, 2, 1])), path)
    pair = dataclasses.replace(pairs[0], sources=(path, None), zeros=(zero_of(scale), None))
    volume = load_volume(pair, plan.features)
    values = np.where(signal[::-1][volume.box] > 0, AIR, 0)  # the first axis of the file runs to the left
    assert np.allclose(volume.inputs[0], np.where(volume.mask, values, 0), atol=1e-5)
    assert np.allclose(volume.inputs[1][volume.mask], AIR)  # a source that is missing
