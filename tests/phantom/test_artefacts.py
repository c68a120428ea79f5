"""Blur and ghosts of a simulated image."""

import numpy as np
import pytest

from bidsapp.phantom.artefacts import blurred, ghosted


@pytest.fixture
def point():
    image = np.zeros((9, 40, 9), np.float32)
    image[4, 20, 4] = 100
    return image


def test_nothing_is_done_by_nothing(point):
    assert blurred(point, 0) is point
    assert ghosted(point, 0, 3) is point


def test_ghosts_take_their_signal_from_the_head(point):
    ghosts = ghosted(point, 0.06, 3)
    assert ghosts.sum() == pytest.approx(100, rel=1e-5)
    assert ghosts[4, 20, 4] == pytest.approx(94, rel=1e-5)
    assert ghosts[4, [0, 10, 30], 4] == pytest.approx(2, rel=1e-5)


def test_blur_has_its_width(point):
    image = blurred(point, 0.7)
    offsets = np.arange(40) - 20
    assert image.sum() == pytest.approx(100, rel=1e-3)
    assert (image.sum((0, 2)) * offsets**2).sum() / image.sum() == pytest.approx(0.7**2, rel=0.05)
