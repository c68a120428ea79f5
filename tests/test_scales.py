"""Intensity scales."""

import numpy as np

from bidsapp.scales import IntensityScale


def test_scale_inverts_exactly_enough():
    scale = IntensityScale("robust", 312.5, 76.25)
    x = np.linspace(0, 4000, 1001)
    assert np.abs(scale.inverse(scale.forward(x)) - x).max() < 1e-9
    assert scale.forward(312.5) == 0
