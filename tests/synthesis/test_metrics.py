"""Measures of agreement, and the floor."""

import numpy as np
import pytest

from bidsapp.synthesis.baselines import fit_floor, predict_floor
from bidsapp.synthesis.metrics import agreement
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.sampling import TrainingVolume


def test_known_errors():
    acquired = np.random.default_rng(0).uniform(0, 10, (20, 20, 20)).astype(np.float32)
    mask = np.ones(acquired.shape, bool)
    mask[:5] = False
    predicted = acquired + 0.5
    predicted[:5] = 1e6  # outside the mask: of no account
    result = agreement(predicted, acquired, mask)
    assert result.mae == pytest.approx(0.5, rel=1e-5)
    assert result.data_range == pytest.approx(9.9, abs=0.1)
    assert result.psnr == pytest.approx(20 * np.log10(result.data_range / 0.5), abs=1e-3)
    assert 0.9 < result.ssim < 1


def test_perfect_prediction():
    acquired = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    result = agreement(acquired, acquired, np.ones(acquired.shape, bool))
    assert (result.mae, result.psnr) == (0, float("inf"))
    assert result.ssim == pytest.approx(1)


def test_floor_finds_a_global_map_and_nothing_more(pairs, plan, tmp_path):
    volumes = [load_volume(pair, plan.features) for pair in pairs[:3]]
    for volume in volumes:
        volume.target[:] = np.abs(volume.inputs[0] - 5)
    stored = [TrainingVolume.store(v, tmp_path / v.pair.visit) for v in volumes[:2]]
    image = predict_floor(fit_floor(stored, 1, 0), volumes[2], 1)
    assert np.abs(image - volumes[2].target)[volumes[2].mask].mean() < 0.03
    assert not image[~volumes[2].mask].any()
