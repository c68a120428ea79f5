"""Intensity scales."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.intensity import fit_scale, normalize


def images(values):
    data = np.asarray(values, np.float32).reshape(-1, 1, 1)
    return nib.Nifti1Image(data, np.eye(4)), nib.Nifti1Image(np.ones(data.shape, np.uint8), np.eye(4))


def test_median_is_zero_and_interquartile_range_one():
    image, mask = images(np.random.default_rng(0).gamma(3, 50, 10001))
    scale = fit_scale(image, mask)
    z = normalize(image, scale).get_fdata()
    low, middle, high = np.percentile(z, (25, 50, 75))
    assert middle == pytest.approx(0, abs=1e-6)
    assert high - low == pytest.approx(1, abs=1e-6)
    assert np.abs(scale.inverse(z) - image.get_fdata()).max() < 1e-3


def test_a_bright_lesion_hardly_moves_the_scale():
    values = np.random.default_rng(0).normal(100, 10, 10000)
    with_lesion = np.concatenate([values, np.full(300, 900.0)])
    a, b = (fit_scale(*images(v)) for v in (values, with_lesion))
    assert abs(a.offset - b.offset) < 1
    assert abs(a.scale - b.scale) < 1


def test_empty_mask_and_flat_brain_are_refused():
    image, mask = images(np.full(100, 5.0))
    with pytest.raises(DataError, match="one intensity"):
        fit_scale(image, mask)
    empty = nib.Nifti1Image(np.zeros(mask.shape, np.uint8), np.eye(4))
    with pytest.raises(DataError, match="empty"):
        fit_scale(image, empty)
