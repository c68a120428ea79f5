import nibabel as nib
import numpy as np
import pytest

from bidsapp.imaging.histogram import BINS, brain_histogram


def image(values):
    return nib.Nifti1Image(values, np.eye(4))


def test_a_density_adds_up_to_one_and_lies_where_the_brain_is():
    values = np.random.default_rng(0).normal(100, 10, (40, 40, 40)).astype(np.float32)
    mask = np.zeros(values.shape, np.uint8)
    mask[5:35, 5:35, 5:35] = 1
    values[:5] = 9e6  # outside, nothing counts
    found = brain_histogram(image(values), image(mask))
    width = (found["High"] - found["Low"]) / BINS
    assert sum(found["Density"]) * width == pytest.approx(0.996, abs=0.001)
    middles = found["Low"] + width * (np.arange(BINS) + 0.5)
    assert np.average(middles, weights=found["Density"]) == pytest.approx(100, abs=0.5)
    assert max(found["Density"]) == pytest.approx(1 / (10 * np.sqrt(2 * np.pi)), rel=0.1)
    assert found["Voxels"] == 27000
    assert len(str(found)) < 1500


def test_nothing_has_no_histogram():
    flat, none = np.ones((4, 4, 4), np.float32), np.zeros((4, 4, 4), np.uint8)
    assert brain_histogram(image(flat), image(none)) == brain_histogram(image(flat), image(flat)) == {}
