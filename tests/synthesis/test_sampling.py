"""Patches and their variation."""

import dataclasses
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from bidsapp.errors import DataError
from bidsapp.synthesis.augmentation import augment, vary_intensity
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.sampling import PatchSampler, TrainingVolume
from bidsapp.synthesis.training import make_fabric, train

FABRIC = make_fabric("cpu", "32-true")


@pytest.fixture
def stored(pairs, plan, tmp_path):
    return [TrainingVolume.store(load_volume(p, plan.features), tmp_path / p.visit) for p in pairs[:2]]


def test_patches_repeat_with_the_seed_and_contain_brain(stored, plan):
    a, b, c = (PatchSampler(stored, dataclasses.replace(plan, seed=seed)).draw(6) for seed in (1, 1, 2))
    assert torch.equal(a.inputs, b.inputs)
    assert not torch.equal(a.inputs, c.inputs)
    assert a.inputs.shape == (6, plan.inputs, 16, 16, 16)
    assert a.target.shape == a.mask.shape == (6, 1, 16, 16, 16)
    assert a.mask.sum((1, 2, 3, 4)).min() > 0


def test_volumes_in_memory_and_on_disk_give_the_same_patches(stored, pairs, plan):
    held = [TrainingVolume.hold(load_volume(p, plan.features)) for p in pairs[:2]]
    assert isinstance(stored[0].inputs, np.memmap)
    assert not isinstance(held[0].inputs, np.memmap)
    a, b = (PatchSampler(volumes, plan).draw(6) for volumes in (stored, held))
    assert all(
        torch.equal(x, y) for x, y in zip((a.inputs, a.target, a.mask), (b.inputs, b.target, b.mask), strict=True)
    )
    assert held[0].gigabytes == stored[0].gigabytes == pytest.approx(316_000e-9)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_streamed_volume_is_one_open_file_and_the_same_numbers(pairs, tmp_path, order):
    held = TrainingVolume.hold(load_volume(pairs[0], ("mask", "depth")))
    held = dataclasses.replace(held, inputs=np.array(held.inputs, order=order))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(file.name) for file in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 10, limits[1]))
    try:
        streamed = [held.streamed(tmp_path / f"{number}") for number in range(6)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for volume in streamed:
        for name, array in held._arrays.items():
            mapped = volume._arrays[name]
            assert isinstance(mapped, np.memmap)
            assert (mapped.dtype, mapped.shape, mapped.flags.fnc) == (array.dtype, array.shape, array.flags.fnc)
            assert np.array_equal(mapped, array)
            assert mapped.flags.aligned
            assert not mapped.flags.writeable


@pytest.mark.parametrize("value", [1e6, -1e6, np.inf, np.nan])
def test_what_float16_cannot_hold_is_0_outside_the_mask_and_refused_by_name_inside(pairs, plan, value):
    volume = load_volume(pairs[0], plan.features)
    plain = TrainingVolume.hold(volume)
    place = tuple(np.argwhere(~volume.loss_mask)[0])
    target = volume.target.copy()
    target[place] = value
    held = TrainingVolume.hold(dataclasses.replace(volume, target=target))
    assert held.target[0][place] == 0
    same = np.ones(target.shape, bool)
    same[place] = False
    assert np.array_equal(held.target[0][same], plain.target[0][same])
    assert np.array_equal(held.inputs, plain.inputs)

    inside = tuple(np.argwhere(volume.loss_mask)[0])
    for name, index in (("target", inside), ("inputs", (0, *inside))):
        array = getattr(volume, name).copy()
        array[index] = value
        with pytest.raises(DataError, match=r"sub-01_ses-1: normalized intensities beyond ±65504"):
            TrainingVolume.hold(dataclasses.replace(volume, **{name: array}))


def test_a_huge_value_outside_the_mask_leaves_the_loss_a_number(pairs, plan):
    volume = load_volume(pairs[0], plan.features)
    target = np.where(volume.loss_mask, volume.target, np.float32(1e6))
    held = [TrainingVolume.hold(dataclasses.replace(volume, target=target))]
    losses = [step.loss for step in train(held, dataclasses.replace(plan, max_steps=2), FABRIC).history]
    assert np.isfinite(losses).all()


def test_a_volume_smaller_than_the_patch_is_padded(pairs, plan, tmp_path):
    volume = TrainingVolume.store(load_volume(pairs[0], plan.features), tmp_path / "v")
    batch = PatchSampler([volume], dataclasses.replace(plan, patch=(40, 40, 40))).draw(1)
    assert batch.inputs.shape == (1, plan.inputs, 40, 40, 40)
    assert batch.mask.sum() == 20 * 22 * 20


def test_source_and_target_stay_together_when_mirrored(stored, plan):
    batch = PatchSampler(stored, plan).draw(12)
    generator = torch.Generator().manual_seed(3)
    varied = augment(batch, 1, generator)
    flipped = [not torch.equal(v, b) for v, b in zip(varied.target, batch.target, strict=True)]
    assert any(flipped)
    assert not all(flipped)
    for n, mirrored in enumerate(flipped):
        if mirrored:
            assert torch.equal(varied.target[n], batch.target[n].flip(1))
            assert torch.equal(varied.inputs[n, 1:], batch.inputs[n, 1:].flip(1))


def test_background_stays_zero_and_brain_changes_little():
    sources = torch.zeros(2, 1, 12, 12, 12)
    sources[:, :, 2:10] = 5 + torch.randn(2, 1, 8, 12, 12, generator=torch.Generator().manual_seed(0))
    varied = vary_intensity(sources, torch.Generator().manual_seed(1))
    assert varied[sources == 0].abs().max() == 0
    change = (varied - sources)[sources != 0]
    assert 0.01 < change.std() < 0.6
    assert not np.isnan(varied.numpy()).any()
