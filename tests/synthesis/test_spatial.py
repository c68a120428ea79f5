"""Patches that are turned and scaled: everything moves together, and nothing of the air gets into the brain."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from bidsapp.synthesis import spatial
from bidsapp.synthesis.run import Run
from bidsapp.synthesis.sampling import Batch, PatchSampler, TrainingVolume
from bidsapp.synthesis.spatial import move, surroundings
from bidsapp.synthesis.training import make_fabric

LARGE, PATCH = (34, 30, 26), (20, 18, 16)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def coordinates(edges):
    """Voxels from the centre, along each axis."""
    return torch.stack(torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in edges), indexing="ij"))


def batch_of(inputs, target, mask):
    return Batch(inputs[None], target[None, None], mask[None, None], 0)


def test_a_blob_is_where_the_formula_says(monkeypatch):
    angle, scale = math.radians(12), 1.1
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    monkeypatch.setattr(spatial, "_matrix", lambda generator: scale * turn)
    place = torch.tensor([5.0, -3.0, 2.0])

    def blob(edges, at, width):
        return torch.exp(-0.5 * ((coordinates(edges) - at[:, None, None, None]) ** 2).sum(0) / width**2)

    source = 5 + blob(LARGE, place, 3)
    moved = move(batch_of(source[None], 2 * source, torch.ones(LARGE)), PATCH, generator())
    expected = 5 + blob(PATCH, turn.T @ place / scale, 3 / scale)  # what is seen at p comes from scale · turn · p
    torch.testing.assert_close(moved.inputs[0, 0], expected, atol=0.03, rtol=0)
    torch.testing.assert_close(moved.target[0, 0], 2 * expected, atol=0.06, rtol=0)
    assert moved.mask.min() == 1


def test_a_linear_image_stays_linear_and_features_move_along(monkeypatch):
    matrix = spatial._matrix(generator(3))
    monkeypatch.setattr(spatial, "_matrix", lambda generator: matrix)
    x = coordinates(LARGE)
    moved = move(batch_of(9 + 0.1 * x, x[0], torch.ones(LARGE)), PATCH, generator())
    expected = torch.einsum("ij,jxyz->ixyz", matrix, coordinates(PATCH))
    torch.testing.assert_close(moved.inputs[0], 9 + 0.1 * expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(moved.target[0, 0], expected[0], atol=1e-3, rtol=0)


def test_air_does_not_bleed_into_the_surface():
    ball = (coordinates(LARGE) ** 2).sum(0) < 8**2
    inputs = torch.stack([torch.full(LARGE, 5.0), torch.ones(LARGE)]) * ball
    target = torch.where(ball, 1.0, -77.0)
    for seed in range(5):
        moved = move(batch_of(inputs, target, ball.float()), PATCH, generator(seed))
        inside = moved.inputs[0, 0] != 0
        torch.testing.assert_close(moved.inputs[0, 0][inside], torch.full((int(inside.sum()),), 5.0))
        assert torch.equal(moved.inputs[0, 1] != 0, inside)
        assert 0.6 < inside.sum() / ball.sum() < 1.65  # e^(±3 · .16)
        counted = moved.mask[0, 0] == 1
        assert 0 < counted.sum() < inside.sum()
        assert not (counted & ~inside).any()
        torch.testing.assert_close(moved.target[0, 0][counted], torch.ones(int(counted.sum())), atol=0.1, rtol=0)


def test_angles_and_scales_are_as_wide_as_they_say():
    matrices = torch.stack([spatial._matrix(generator(seed)) for seed in range(1000)])
    scales = torch.linalg.det(matrices) ** (1 / 3)
    assert scales.log().mean() == pytest.approx(0, abs=0.01)
    assert scales.log().std() == pytest.approx(0.08 * 0.96, abs=0.006)  # what two deviations leave of one
    assert scales.log().abs().max() == pytest.approx(0.16, abs=0.001)
    turns = matrices / scales[:, None, None]
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(1000, 3, 3), atol=1e-5, rtol=0)
    cosines = (turns.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    angles = torch.rad2deg(cosines.clamp(max=1).arccos())
    assert angles.square().mean().sqrt() == pytest.approx(8 * 0.96, abs=0.6)
    assert angles.max() == pytest.approx(16, abs=0.1)


@pytest.fixture
def varied(plan):
    return dataclasses.replace(plan, augmentation="spatial")


def test_what_surrounds_a_patch_is_enough(plan, varied, monkeypatch):
    assert surroundings(plan) == (0, 0, 0)
    assert surroundings(varied) == (5, 5, 5)
    whole = torch.ones(26, 26, 26)
    draws = {3: torch.tensor([1.0, 1.0, 0.0]), 2: torch.tensor([2.0, 2.0])}
    monkeypatch.setattr(torch, "randn", lambda n, generator: draws[n])
    moved = move(batch_of(whole[None], whole, whole), (16, 16, 16), generator())
    assert moved.mask.min() == 1  # of the largest angle, about the axis for which that takes most, and scale
    assert moved.inputs.min() == pytest.approx(1, abs=1e-5)


def test_a_sampler_draws_the_same_places_with_their_surroundings(plan, varied):
    mask = np.zeros((1, 24, 26, 28), bool)
    mask[0, 2:-2, 2:-2, 2:-2] = True
    inputs = np.random.default_rng(0).normal(5, 1, (6, 24, 26, 28)).astype(np.float16) * mask
    volume = TrainingVolume(inputs, inputs[:1], mask, np.flatnonzero(mask).astype(np.int32))
    small, large = (PatchSampler([volume], p).draw(6) for p in (plan, varied))
    assert large.inputs.shape == (6, 6, 26, 26, 26)
    assert torch.equal(large.inputs[..., 5:-5, 5:-5, 5:-5], small.inputs)
    assert torch.equal(large.mask[..., 5:-5, 5:-5, 5:-5], small.mask)
    a, b = (Run([volume], varied, make_fabric("cpu", "32-true")).batches.next() for _ in range(2))
    assert a.inputs.shape == (2, 6, 16, 16, 16)
    assert torch.equal(a.inputs, b.inputs)
    assert torch.equal(a.target, b.target)
