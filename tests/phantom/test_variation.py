"""The ranges of a cohort."""

import numpy as np

from bidsapp.phantom import acquisition
from bidsapp.phantom.variation import RANDOMIZED, STANDARD, draw


def test_a_single_value_takes_no_random_number():
    random = np.random.default_rng(0)
    assert draw((3.0, 3.0), random) == 3.0
    assert random.random() == np.random.default_rng(0).random()
    assert 1 <= draw((1, 2), random) < 2


def test_randomized_reaches_beyond_a_study():
    for name in ("head_scale", "warp_mm", "lesions", "lesion_radius_mm", "edge", "bias", "snr", "blur", "ghost"):
        (low, high), (least, most) = getattr(STANDARD, name), getattr(RANDOMIZED, name)
        assert least <= low, name
        assert high <= most, name
        assert most - least > high - low, name


def test_resolution_varies():
    random = np.random.default_rng(0)
    t1w, flair = (
        np.array(
            [
                np.diag(acquisition.draw_protocol(1.0, random, reference=reference, variation=RANDOMIZED).affine)[
                    :3
                ]
                for _ in range(200)
            ]
        )
        for reference in (True, False)
    )
    for edges in (t1w, flair):
        assert 0.9 <= edges[:, 0].min() < 0.92
        assert 1.28 < edges[:, 0].max() <= 1.3
        assert (edges[:, 2] >= edges[:, 0]).all()
    assert t1w[:, 2].max() <= 1.3 * 1.8
    volumes = flair[:, 2] <= 1.5
    assert 0.35 < volumes.mean() < 0.65
    assert flair[~volumes, 2].min() >= 2
    assert flair[:, 2].max() > 4.8
