"""The rivals that do not learn by gradient."""

import numpy as np

from bidsapp.synthesis.baselines import fit_floor, predict_floor
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
