"""Scales that are fitted to a population."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.intensity import normalize
from bidsapp.imaging.population import MIDDLE, describe_image, fit_standard, scale_to
from bidsapp.scales import scale_from_json

EDGE = 30


@pytest.fixture
def head():
    """Return a function that makes a brain of three tissues with changed intensities, and its parts."""
    classes = np.digitize(np.random.default_rng(1).uniform(size=(EDGE,) * 3), (0.2, 0.6)).astype(np.uint8) + 1
    noise = np.random.default_rng(2).normal(size=classes.shape)

    def head(change):
        values = np.array([0, 30.0, 70.0, 100.0])[classes] + 3 * noise
        image, mask, tissue = (
            nib.Nifti1Image(data, np.eye(4))
            for data in (change(values).astype(np.float32), (classes > 0).astype(np.uint8), classes)
        )
        return image, mask, tissue

    return head


CHANGES = [lambda x: x, lambda x: 3 * x + 50, lambda x: 40 * np.sqrt(np.maximum(x, 0) + 5)]


def divergence(a, b):
    """Jensen–Shannon divergence of two sets of values."""
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    p, q = (np.histogram(v, bins=64, range=(low, high))[0] / v.size for v in (a, b))
    middle = (p + q) / 2
    return sum(0.5 * np.sum(r[r > 0] * np.log2(r[r > 0] / middle[r > 0])) for r in (p, q))


@pytest.mark.parametrize(("method", "changes"), [("nyul", CHANGES), ("lsq", [lambda x: x, lambda x: 2.5 * x])])
def test_images_of_one_brain_become_alike_and_come_back(head, method, changes):
    heads = [head(change) for change in changes]
    described = [describe_image(method, *parts) for parts in heads]
    standard = fit_standard(method, described)
    scales = [scale_to(method, standard, d) for d in described]
    images = [normalize(image, scale).get_fdata() for (image, *_), scale in zip(heads, scales, strict=True)]
    assert divergence(heads[0][0].get_fdata(), heads[1][0].get_fdata()) > 0.3
    assert all(divergence(images[0], other) < 0.05 for other in images[1:])
    for (image, *_), scale in zip(heads, scales, strict=True):
        x = image.get_fdata()
        assert np.abs(scale.inverse(scale.forward(x)) - x).max() <= 1e-5 * np.abs(x).max()


def test_nyul_is_counted_in_quartile_ranges_and_goes_on_beyond_its_landmarks(head):
    image, mask, _ = head(CHANGES[0])
    description = describe_image("nyul", image, mask, None)
    standard = fit_standard("nyul", [description])
    scale = scale_to("nyul", standard, description)
    assert standard[MIDDLE] == 0
    z = scale.forward(image.get_fdata())
    assert np.percentile(z, [25, 75]) @ [-1, 1] == pytest.approx(1, abs=1e-3)
    beyond = description[-1] + np.array([0, 100.0, 200.0])
    assert np.diff(scale.forward(beyond), n=2) == pytest.approx(0, abs=1e-9)
    assert (np.diff(scale.forward(beyond)) > 0).all()


def test_landmarks_of_whole_numbers_rise(head):
    image, mask, _ = head(lambda x: np.round(x / 40))
    description = describe_image("nyul", image, mask, None)
    assert (np.diff(description) > 0).all()


def test_lsq_brings_a_brain_to_its_population_by_one_factor(head):
    plain, brighter = (describe_image("lsq", *head(lambda x, f=f: f * x)) for f in (1, 4))
    standard = fit_standard("lsq", [plain, brighter])
    assert scale_to("lsq", standard, brighter).scale == pytest.approx(4 * scale_to("lsq", standard, plain).scale)
    assert plain[-1] / scale_to("lsq", standard, plain).scale == pytest.approx(1)  # white matter


def test_a_scale_repeats_through_json(head):
    described = describe_image("nyul", *head(CHANGES[0]))
    for scale in (
        scale_to("nyul", fit_standard("nyul", [described]), described),
        scale_to("lsq", described, described),
    ):
        assert scale_from_json(scale.to_json()) == scale


@pytest.mark.parametrize(("method", "complaint"), [("nyul", "one intensity"), ("lsq", "hardly there")])
def test_what_has_no_tissues_is_an_error(method, complaint):
    flat = nib.Nifti1Image(np.ones((9, 9, 9), np.float32), np.eye(4))
    with pytest.raises(DataError, match=complaint):
        describe_image(method, flat, flat, flat)
