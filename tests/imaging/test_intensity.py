"""Intensity scales."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.intensity import fit_scale, normalize, white_mode
from bidsapp.imaging.tissue import FLUID, GREY, WHITE, tissue_classes

FITTED = ("robust", "zscore", "fcm", "kde", "whitestripe")


def images(values):
    data = np.asarray(values, np.float32).reshape(-1, 1, 1)
    return nib.Nifti1Image(data, np.eye(4)), nib.Nifti1Image(np.ones(data.shape, np.uint8), np.eye(4))


@pytest.fixture
def brain():
    """Image, mask and true classes of a T1w-like brain: three tissues with noise."""
    random = np.random.default_rng(0)
    means, counts = {FLUID: 200, GREY: 500, WHITE: 800}, {FLUID: 4000, GREY: 14000, WHITE: 12000}
    truth = np.repeat(list(counts), list(counts.values()))
    values = random.normal([means[label] for label in truth], 50)
    return *images(values), truth


def test_robust_median_is_zero_and_interquartile_range_one(brain):
    image, mask, _ = brain
    z = normalize(image, fit_scale("robust", image, mask)).get_fdata()
    low, middle, high = np.percentile(z, (25, 50, 75))
    assert middle == pytest.approx(0, abs=1e-6)
    assert high - low == pytest.approx(1, abs=1e-6)


def test_zscore_has_mean_zero_and_deviation_one(brain):
    image, mask, _ = brain
    z = normalize(image, fit_scale("zscore", image, mask)).get_fdata()
    assert (z.mean(), z.std()) == pytest.approx((0, 1), abs=1e-5)


def test_fcm_and_kde_put_white_matter_at_one(brain):
    image, mask, truth = brain
    for method in ("fcm", "kde"):
        z = normalize(image, fit_scale(method, image, mask, tissue=tissue_classes(image, mask))).get_fdata()
        assert z.ravel()[truth == WHITE].mean() == pytest.approx(1, abs=0.01)


def test_the_white_stripe_is_at_zero(brain):
    image, mask, truth = brain
    z = normalize(image, fit_scale("whitestripe", image, mask)).get_fdata().ravel()
    spread = z[truth == WHITE].std()
    assert abs(z[truth == WHITE].mean()) < 0.1 * spread  # the stripe is narrower than white matter


def test_white_matter_is_the_last_peak_of_a_t1w_and_the_highest_of_others(brain):
    values = np.asarray(brain[0].dataobj).ravel()
    assert white_mode(values, "T1w") == pytest.approx(800, abs=12)
    assert white_mode(values, "FLAIR") == pytest.approx(500, abs=12)


@pytest.mark.parametrize("method", [*FITTED, "hu", "none"])
def test_every_scale_is_inverted(brain, method):
    image, mask, _ = brain
    scale = fit_scale(method, image, mask, tissue=tissue_classes(image, mask))
    x = image.get_fdata()
    assert scale.method == method
    assert np.abs(scale.inverse(scale.forward(x)) - x).max() < 1e-5 * x.max()


@pytest.mark.parametrize("method", FITTED)
def test_gain_does_not_matter(brain, method):
    image, mask, _ = brain
    tissue = tissue_classes(image, mask)
    louder = nib.Nifti1Image(image.get_fdata(dtype=np.float32) * 7, image.affine)
    ours, theirs = (normalize(i, fit_scale(method, i, mask, tissue=tissue)).get_fdata() for i in (image, louder))
    assert np.abs(ours - theirs).max() < 1e-3


def test_a_bright_lesion_hardly_moves_the_robust_scale():
    values = np.random.default_rng(0).normal(100, 10, 10000)
    with_lesion = np.concatenate([values, np.full(300, 900.0)])
    a, b = (fit_scale("robust", *images(v)) for v in (values, with_lesion))
    assert abs(a.offset - b.offset) < 1
    assert abs(a.scale - b.scale) < 1


@pytest.mark.parametrize("method", ["robust", "zscore", "whitestripe"])
def test_empty_mask_and_flat_brain_are_refused(method):
    image, mask = images(np.full(100, 5.0))
    with pytest.raises(DataError, match="one intensity"):
        fit_scale(method, image, mask)
    empty = nib.Nifti1Image(np.zeros(mask.shape, np.uint8), np.eye(4))
    with pytest.raises(DataError, match="empty"):
        fit_scale(method, image, empty)


def test_tissue_classes_are_found(brain):
    image, mask, truth = brain
    found = np.asarray(tissue_classes(image, mask).dataobj).ravel()
    assert (found == truth).mean() > 0.99


def test_fcm_leaves_out_what_the_scan_does_not_cover(brain):
    _, mask, truth = brain
    tissue = nib.Nifti1Image(truth.astype(np.uint8).reshape(mask.shape), np.eye(4))
    random = np.random.default_rng(0)
    covered = random.uniform(size=truth.shape) < 0.6
    image = images(np.where(covered, np.where(truth == WHITE, 100.0, 70.0), 0.0))[0]
    own = nib.Nifti1Image(covered.astype(np.uint8).reshape(mask.shape), np.eye(4))
    assert fit_scale("fcm", image, own, "FLAIR", tissue).scale == pytest.approx(100)
    elsewhere = nib.Nifti1Image((truth == GREY).astype(np.uint8).reshape(mask.shape), np.eye(4))
    with pytest.raises(DataError, match="none of the T1w's white matter"):
        fit_scale("fcm", image, elsewhere, "FLAIR", tissue)


def test_fcm_without_tissue_is_refused(brain):
    with pytest.raises(DataError, match="tissue classes"):
        fit_scale("fcm", brain[0], brain[1])
