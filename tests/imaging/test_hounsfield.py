"""Units of a CT are told by its air and soft tissue, not by what pads it."""

import numpy as np
import pytest

from bidsapp.imaging.hounsfield import Units, units_of

from ..fabricated import ct_head


@pytest.mark.parametrize("padding", [None, -2000, -3024, -1024])
@pytest.mark.parametrize(("added", "units"), [(0, Units.HOUNSFIELD), (1024, Units.SHIFTED), (2000, Units.UNKNOWN)])
def test_units_are_the_same_with_any_padding(padding, added, units):
    data = ct_head()[0].astype(int) + added
    if padding is not None:
        data[:5] = padding
    # What is not shifted and has −1024 somewhere is taken at its word.
    assert units_of(data) is (Units.HOUNSFIELD if (padding, added) == (-1024, 2000) else units)


def test_edges_of_padding_that_was_resampled_are_no_air():
    from scipy import ndimage

    data = ct_head()[0] + 1024.0
    data[:, :, :6] = -2000
    moved = ndimage.shift(data, (0, 0, 0.4), order=1, mode="nearest")
    edge = (moved > -1100) & (moved < -750)
    assert edge.sum() > 1000
    assert units_of(moved) is Units.SHIFTED


def test_a_block_of_brain_with_little_air_is_in_hounsfield_units():
    data = ct_head()[0][18:30, 20:36, 14:26].copy()
    data[:2, :2, :2] = -950
    assert units_of(data) is Units.HOUNSFIELD
    assert units_of(np.full((4, 4, 4), -2000)) is Units.UNKNOWN
