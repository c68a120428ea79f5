"""What scanners and moving heads do: each effect does what it says, and none touches air or target."""

import dataclasses

import pytest
import torch

from bidsapp.settings import AUGMENTATIONS
from bidsapp.synthesis import physics
from bidsapp.synthesis.augmentation import augment
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.plan import RECIPES
from bidsapp.synthesis.run import Run
from bidsapp.synthesis.sampling import Batch, TrainingVolume
from bidsapp.synthesis.training import make_fabric


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def brain():
    """A textured block about 5 above the air around it."""
    image = torch.zeros(20, 22, 24)
    image[3:-3, 2:-2, 4:] = 5 + 0.5 * torch.randn(14, 18, 20, generator=generator(7))
    return image


@pytest.fixture
def flat(brain):
    return torch.where(brain != 0, 5.0, 0.0)


def first(monkeypatch, name, value):
    """Make every choice the first one, and every draw from an interval the value."""
    monkeypatch.setattr(physics, "_choice", lambda count, generator: 0)
    monkeypatch.setattr(physics, "_between", lambda low, high, generator: value)
    return getattr(physics, name)


@pytest.mark.parametrize("effect", [effect for effect, _ in physics.EFFECTS])
def test_an_effect_repeats_changes_the_brain_and_not_its_level(effect, brain):
    before = brain.clone()
    a, b, c = (effect(brain, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(brain, before)
    inside = brain != 0
    change = (a - brain)[inside]
    assert 1e-3 < change.abs().mean() < 0.8
    assert a[inside].mean() == pytest.approx(5, abs=0.15)
    assert torch.isfinite(a).all()


@pytest.mark.parametrize("effect", [physics.blur, physics.thick_slices, physics.motion, physics.ghosting])
def test_no_darkness_leaks_into_the_surface(effect, flat):
    for seed in range(5):
        torch.testing.assert_close(effect(flat, generator(seed))[flat != 0], flat[flat != 0], atol=1e-4, rtol=0)


def test_a_bias_field_is_smooth_and_of_mean_one(flat):
    field = (physics.bias_field(flat, generator()) / 5)[3:-3, 2:-2, 4:]
    assert 0.01 < field.std() < 0.3
    for axis in range(3):
        assert field.diff(dim=axis).abs().max() < 0.05
        assert field.diff(n=3, dim=axis).abs().max() < 1e-3  # of order two, but for the exponential


def test_gamma_keeps_the_order_and_the_mean(monkeypatch, brain):
    bent = first(monkeypatch, "gamma", 0.3)(brain, None)
    inside = brain != 0
    assert torch.equal(bent[inside].argsort(), brain[inside].argsort())
    middle = brain[inside].mean()
    expected = middle * (brain[inside] / middle) ** 1.3498588
    torch.testing.assert_close(bent[inside], expected)


def test_a_blur_has_the_variance_of_its_gaussian(monkeypatch):
    point = torch.ones(21, 21, 21)
    point[10, 10, 10] = 1001
    spread = (first(monkeypatch, "blur", 0.8)(point, None) - 1) / 1000
    assert spread.sum() == pytest.approx(1, abs=1e-3)
    offsets = torch.arange(-10, 11.0) ** 2
    for axis in range(3):
        profile = spread.sum([other for other in range(3) if other != axis])
        assert (profile * offsets).sum() == pytest.approx(0.64, abs=0.02)


def test_thick_slices_are_thick_along_one_axis(monkeypatch, brain):
    rows = torch.arange(20.0)[:, None, None] % 2 + torch.arange(22.0)[:, None] % 2 + 4 + 0 * brain
    thick = first(monkeypatch, "thick_slices", None)(rows, None)
    expected = 4.5 + torch.arange(22.0)[:, None] % 2 + 0 * brain  # pairs along x are averaged, y stays
    torch.testing.assert_close(thick, expected)


def test_thick_slices_stay_where_they_were_though_the_last_one_is_thinner(monkeypatch):
    ramp = (5 + 0.1 * torch.arange(40.0))[:, None, None].expand(40, 4, 4)
    monkeypatch.setattr(physics, "_choice", lambda count, generator: count // 2)  # three voxels along x
    thick = physics.thick_slices(ramp, None)
    torch.testing.assert_close(thick[1:38], ramp[1:38], atol=1e-4, rtol=0)  # from the first centre to the last
    assert (thick - ramp).abs().max() < 0.15


def test_motion_shifts_the_late_lines_only(monkeypatch):
    axis = torch.arange(32.0)
    slow, quick = (torch.cos(2 * torch.pi * f * axis / 32)[:, None, None] for f in (2, 12))
    draws = iter([1.0, 0.25])  # one voxel, from a quarter of the sampling frequency on
    monkeypatch.setattr(physics, "_choice", lambda count, generator: 0)
    monkeypatch.setattr(physics, "_between", lambda low, high, generator: next(draws))
    moved = physics.motion(5 + (slow + quick) * torch.ones(32, 2, 2), None)
    expected = 5 + slow + torch.cos(2 * torch.pi * 12 * (axis - 1) / 32)[:, None, None]
    torch.testing.assert_close(moved, expected.expand(32, 2, 2), atol=1e-5, rtol=0)


def test_a_ghost_is_a_faint_copy_half_a_field_of_view_away(monkeypatch):
    image = torch.full((24, 4, 4), 5.0)
    image[6] += 1
    ghosted = first(monkeypatch, "ghosting", 0.2)(image, None)  # every second line is weaker by a fifth
    change = ghosted[:, 0, 0] - image[:, 0, 0]
    # Weakening even lines by s takes s/2 of image and of its half-shifted copy; the mean, line 0, is restored.
    expected = torch.full((24,), 0.2 / 24)
    expected[[6, 18]] -= 0.1
    torch.testing.assert_close(change, expected, atol=1e-5, rtol=0)


def test_a_dropped_block_is_the_mean(brain):
    dropped = physics.dropout(brain, generator(3))
    changed = dropped != brain
    assert dropped[changed].unique().tolist() == pytest.approx([float(brain[brain != 0].mean())])
    box = [where.unique() for where in changed.nonzero(as_tuple=True)]
    assert all(len(where) == where[-1] - where[0] + 1 for where in box)
    assert changed.sum() == len(box[0]) * len(box[1]) * len(box[2])
    assert all(len(where) <= n // 3 for where, n in zip(box, brain.shape, strict=True))


def test_air_stays_air_and_four_in_ten_stay_as_they_are(brain):
    sources = brain.repeat(100, 2, 1, 1, 1)
    disturbed = physics.disturb(sources, generator())
    assert disturbed[sources == 0].abs().max() == 0
    same = (disturbed == sources).flatten(2).all(2).float().mean()
    assert 0.3 < same < 0.5
    assert torch.equal(physics.disturb(0 * sources, generator()), 0 * sources)


def test_target_mask_and_features_are_left_alone(brain):
    inputs = brain.repeat(40, 3, 1, 1, 1)
    batch = Batch(inputs, brain.repeat(40, 1, 1, 1, 1), (inputs[:, :1] != 0).float(), 0)
    varied = augment(batch, 1, generator(), physics=True)
    for n in range(40):  # mirrored or not, but nothing else
        flips = [torch.equal(varied.target[n], t) for t in (batch.target[n], batch.target[n].flip(1))]
        assert sum(flips) == 1
        turned = batch if flips[0] else Batch(*(t.flip(2) for t in (batch.inputs, batch.target, batch.mask)), 0)
        assert torch.equal(varied.mask[n], turned.mask[n])
        assert torch.equal(varied.inputs[n, 1:], turned.inputs[n, 1:])
    assert torch.equal(batch.inputs, inputs)


def test_the_plan_says_how_patches_vary(pairs, plan, tmp_path):
    volume = TrainingVolume.store(load_volume(pairs[0], plan.features), tmp_path / "v")
    fabric = make_fabric("cpu", "32-true")
    drawn = {}
    for name in AUGMENTATIONS:
        batches = Run([volume], dataclasses.replace(plan, augmentation=name), fabric).batches
        drawn[name] = [batches.next().inputs for _ in range(4)]
    for a, b in (("none", "intensity"), ("intensity", "physics"), ("none", "physics")):
        assert not all(torch.equal(x, y) for x, y in zip(drawn[a], drawn[b], strict=True))
    assert {recipe["augmentation"] for recipe in RECIPES.values()} <= set(AUGMENTATIONS)
