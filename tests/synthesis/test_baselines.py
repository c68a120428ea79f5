"""The rivals that do not learn by gradient."""

import numpy as np

from bidsapp.synthesis import baselines
from bidsapp.synthesis.baselines import fit_floor, fit_forest, predict_floor, predict_forest
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.sampling import TrainingVolume


def test_floor_finds_a_global_map_and_nothing_more(pairs, plan, tmp_path):
    volumes = [load_volume(pair, plan.features) for pair in pairs[:3]]
    for volume in volumes:
        volume.target[:] = np.abs(volume.inputs[0] - 5)
    stored = [TrainingVolume.store(v, tmp_path / v.pair.visit) for v in volumes[:2]]
    image = predict_floor(fit_floor(stored, 1, 0), volumes[2], 1)
    assert np.abs(image - volumes[2].target)[volumes[2].mask].mean() < 0.03
    assert not image[~volumes[2].mask].any()


def test_forest_sees_the_neighbours_and_repeats(pairs, plan, tmp_path):
    volumes = [load_volume(pair, plan.features) for pair in pairs[:3]]
    for volume in volumes:  # the next voxel's intensity: of the voxel itself it is nearly independent
        volume.target[:] = np.roll(volume.inputs[0], 1, axis=0)
    stored = [TrainingVolume.store(v, tmp_path / v.pair.visit) for v in volumes[:2]]
    image = predict_forest(fit_forest(stored, 1, 0), volumes[2], 1)
    mask = volumes[2].mask
    floor = predict_floor(fit_floor(stored, 1, 0), volumes[2], 1)
    errors = [np.abs(i - volumes[2].target)[mask].mean() for i in (image, floor)]
    assert errors[0] < 0.1
    assert errors[0] < 0.25 * errors[1]
    assert not image[~mask].any()
    assert np.array_equal(image, predict_forest(fit_forest(stored, 1, 0, threads=2), volumes[2], 1))
    assert not np.array_equal(image, predict_forest(fit_forest(stored, 1, 1), volumes[2], 1))


def test_neighbourhoods_are_read_in_place_and_in_chunks(pairs, plan, tmp_path, monkeypatch):
    volume = load_volume(pairs[0], plan.features)
    x, y, z = 5, 6, 7
    found = baselines._around(volume.inputs[:1], ([np.array([n]) for n in (x, y, z)]), 1)
    assert np.array_equal(found[0], volume.inputs[0, x - 1 : x + 2, y - 1 : y + 2, z - 1 : z + 2].ravel())
    corner = baselines._around(volume.inputs[:1], ([np.array([0])] * 3), 1)
    assert corner[0, 0] == volume.inputs[0, 0, 0, 0]
    floor = fit_floor([TrainingVolume.store(volume, tmp_path / "s")], 1, 0)
    whole = predict_floor(floor, volume, 1)
    monkeypatch.setattr(baselines, "CHUNK", 1000)
    assert np.array_equal(whole, predict_floor(floor, volume, 1))
