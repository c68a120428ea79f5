"""Parts of the simulation."""

import numpy as np
import pytest

from bidsapp.phantom import acquisition
from bidsapp.phantom.constants import SEQUENCES, TISSUES
from bidsapp.phantom.deformation import draw_deformation, rigid
from bidsapp.phantom.signal import draw_tissues, signals


def test_contrasts_order_tissues_as_scanners_do():
    t1w, t2w, flair = (signals(TISSUES, SEQUENCES[c]) for c in ("T1w", "T2w", "FLAIR"))
    assert t1w["csf"] < t1w["gm"] < t1w["wm"] < t1w["fat"]
    assert t2w["wm"] < t2w["gm"] < t2w["csf"]
    assert flair["csf"] < flair["wm"] < flair["gm"] < flair["lesion"]
    assert abs(t1w["lesion"] / t1w["gm"] - 1) < 0.1  # what a global map of intensities cannot tell apart
    assert flair["lesion"] / flair["gm"] > 1.4
    assert max(s["bone"] / s["wm"] for s in (t1w, t2w, flair)) < 0.2


def test_tissues_vary_by_at_most_a_tenth():
    drawn = draw_tissues(np.random.default_rng(0))
    ratios = [getattr(drawn[n], c) / getattr(t, c) for n, t in TISSUES.items() for c in ("t1", "t2", "pd")]
    assert 0.9 <= min(ratios) < 0.97
    assert 1.03 < max(ratios) <= 1.1


def test_rotation_is_rigid():
    matrix = rigid(np.array([10.0, -20, 30]), np.array([1.0, 2, 3]))
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3))
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_bias_departs_by_twenty_to_forty_percent(seed):
    brain = np.zeros((46, 55, 52), bool)
    brain[8:38, 8:46, 8:44] = True
    field = acquisition.draw_bias(brain, np.diag([4.0, 4, 4, 1]), np.random.default_rng(seed))
    logs = np.log(field[brain])
    assert logs.mean() == pytest.approx(0, abs=1e-5)
    assert np.log(1.2) <= np.abs(logs).max() <= np.log(1.4) + 1e-5


def test_noise_has_the_ratio_it_was_drawn_with():
    image = np.full((60, 60, 60), 100.0, np.float32)
    noisy = acquisition.add_noise(image, 100.0, np.random.default_rng(0))
    assert 15 < 100 / noisy.std() < 40
    air = acquisition.add_noise(image * 0, 100.0, np.random.default_rng(0))
    assert air.min() >= 0
    assert air.mean() / air.std() == pytest.approx(1.913, abs=0.02)  # of a Rayleigh distribution


def test_slices_are_averages_of_their_samples():
    protocol = acquisition.draw_protocol(1.0, np.random.default_rng(0), reference=False)
    assert 3 <= protocol.affine[2, 2] <= 5
    affine, shape = acquisition.sub_slice_grid(protocol)
    assert shape[2] == protocol.shape[2] * protocol.sub_slices
    heights = affine[2, 2] * np.arange(shape[2]) + affine[2, 3]
    ramp = np.broadcast_to(heights, shape).astype(np.float32)
    slices = acquisition.average_slices(ramp, protocol)[0, 0]
    assert np.allclose(
        slices, protocol.affine[2, 2] * np.arange(protocol.shape[2]) + protocol.affine[2, 3], atol=1e-3
    )


def test_deformation_bends_by_millimetres():
    deformation = draw_deformation((80, 80, 80), np.random.default_rng(0))
    assert deformation.displacement.std() == pytest.approx(3.0, rel=1e-4)
