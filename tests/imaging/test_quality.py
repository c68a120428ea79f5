"""Quality numbers."""

import nibabel as nib
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from bidsapp.imaging import quality
from bidsapp.imaging.itk import like
from bidsapp.imaging.tissue import FLUID, GREY, WHITE


def image(data, size=1.0):
    return nib.Nifti1Image(np.asarray(data, np.float32), np.diag([size, size, size, 1]))


def test_volume_counts_millimetres():
    assert quality.brain_volume_ml(image(np.ones((10, 10, 10)), 2.0)) == pytest.approx(8.0)


def test_overlap_of_half_shifted_boxes():
    a, b = np.zeros((2, 20, 10, 10))
    a[0:10], b[5:15] = 1, 1
    assert quality.mask_overlap(image(a), image(b)) == pytest.approx(0.5)
    assert quality.mask_overlap(image(a * 0), image(b * 0)) == 0


@pytest.fixture
def scan():
    """Return a function that makes a brain of three tissues in air, and its classes."""
    classes = np.zeros((64, 64, 64), np.uint8)
    classes[12:52, 12:52, 12:52] = FLUID
    classes[16:48, 16:48, 16:48] = GREY
    classes[22:42, 22:42, 22:42] = WHITE

    def make(noise=20.0, bias=0.0, air=5.0):
        random = np.random.default_rng(0)
        data = np.choose(classes, [0, 200.0, 500.0, 800.0]) * (1 + bias * np.linspace(-1, 1, 64)[:, None, None])
        data = data + np.where(
            classes > 0, random.normal(0, noise, classes.shape), random.rayleigh(air, classes.shape)
        )
        return image(data), nib.Nifti1Image(classes, np.eye(4)), image(np.ones(classes.shape))

    return make


def test_numbers_of_a_known_image(scan):
    numbers = quality.image_quality(*scan())
    assert numbers["cjv"] == pytest.approx(40 / 300, rel=0.02)
    assert numbers["cnr"] == pytest.approx(300 / np.sqrt(800), rel=0.02)
    assert numbers["snr"] == pytest.approx(np.mean([10, 25, 40]), rel=0.02)
    assert numbers["wm2max"] == pytest.approx(800 / (800 + 2.14 * 20), rel=0.02)  # the brightest 131 of 8000
    assert numbers["residual_bias"] < 0.002


def test_noise_bias_and_ghosts_are_seen(scan):
    good, noisy, shaded, foggy = (
        quality.image_quality(*scan(**change)) for change in ({}, {"noise": 60.0}, {"bias": 0.3}, {"air": 60.0})
    )
    assert noisy["cjv"] > 2.5 * good["cjv"]
    assert shaded["residual_bias"] > 5 * good["residual_bias"]
    assert foggy["efc"] > good["efc"]
    assert foggy["fber"] < 0.05 * good["fber"]


def test_a_stripped_image_has_no_air(scan):
    whole, classes, everywhere = scan()
    stripped = image(np.where(np.asarray(classes.dataobj) > 0, whole.get_fdata(), 0))
    for view in (everywhere, quality.acquired(stripped)):
        numbers = quality.image_quality(stripped, classes, view)
        assert not {"fber", "cnr"} & set(numbers)
        assert "cjv" in numbers


def published(data, classes, head, air, view):
    """The formulas of MRIQC's `qc/anatomical.py`, written down anew from its documentation."""
    x = np.where(data < 0, 0, data)[view]
    c = classes[view]
    medians, deviations = ({k: f(x[c == k]) for k in (1, 2, 3)} for f in (np.median, np.std))
    robust = {k: scipy.stats.median_abs_deviation(x[c == k], scale="normal") for k in (2, 3)}
    counts = {k: (c == k).sum() for k in (1, 2, 3)}
    energy = np.sqrt(np.sum(x**2))
    worst = len(x) / np.sqrt(len(x)) * np.log(1 / np.sqrt(len(x)))
    return {
        "cjv": (robust[2] + robust[3]) / abs(medians[3] - medians[2]),
        "cnr": abs(medians[3] - medians[2])
        / np.sqrt(data[air].std() ** 2 + deviations[2] ** 2 + deviations[3] ** 2),
        "snr": np.mean([medians[k] / (deviations[k] * np.sqrt(counts[k] / (counts[k] - 1))) for k in (1, 2, 3)]),
        "efc": np.sum(x / energy * np.log((x + 1e-16) / energy)) / worst,
        "fber": np.median(data[head & view] ** 2) / np.median(data[~head & view] ** 2),
        "wm2max": medians[3] / np.percentile(x, 99.95),
    }


def test_the_formulas_are_those_of_mriqc(scan):
    whole, tissue, _ = scan()
    data = np.pad(whole.get_fdata(), 6)[:, :, 6:-6]
    data[8:11, 8:11, 8:11] = 0  # zeros that were measured: they are air, not a frame
    classes = np.pad(np.asarray(tissue.dataobj), 6)[:, :, 6:-6]
    measured = image(data, 2.0)
    view = quality.acquired(measured)
    seen = np.zeros(data.shape, bool)
    seen[6:-6, 6:-6] = True
    assert np.array_equal(np.asarray(view.dataobj) > 0, seen)
    head = np.asarray(quality.head_mask(measured).dataobj) > 0
    air = (scipy.ndimage.distance_transform_edt(~head, sampling=2.0) > 8) & seen
    numbers = quality.image_quality(measured, like(classes, measured), view)
    expected = published(np.asarray(measured.dataobj, np.float64), classes, head, air, seen)
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_a_frame_is_what_touches_the_border():
    data = np.ones((30, 30, 30))
    data[:4], data[12:18, 12:18, 12:18], data[29, 5, 5] = 0, 0, 0  # a frame, a hole, a dark voxel at the border
    frame = np.asarray(quality.acquired(image(data)).dataobj) == 0
    assert frame[:4].all()
    assert frame.sum() == 4 * 30 * 30
    assert np.asarray(quality.acquired(image(np.ones((30, 30, 30)))).dataobj).all()


def test_entropy_is_zero_for_a_point_and_one_for_a_plain():
    point = np.zeros(1000)
    point[3] = 9
    assert quality.entropy_focus(point) == pytest.approx(0, abs=1e-9)
    assert quality.entropy_focus(np.full(1000, 7.0)) == pytest.approx(1)


@pytest.mark.parametrize(("slices", "flagged"), [(30, False), (20, True), (10, True)])
def test_a_brain_that_is_cut_is_flagged(slices, flagged):
    points = np.moveaxis(np.indices((40, 40, 36)), 0, -1) - (19.5, 19.5, 17.5)
    ball = image(np.linalg.norm(points, axis=-1) < 17, 4.0).slicer[:, :, :slices]  # 1.3 l, cut from above
    contact = quality.edge_contact_cm2(ball)
    assert contact == pytest.approx({30: 79, 20: 145, 10: 109}[slices], rel=0.03)
    assert bool(quality.cut_flags(contact)) is flagged


@pytest.mark.parametrize(("volume", "flags"), [(240, 1), (350, 0), (1400, 0), (2100, 0), (2300, 1)])
def test_a_volume_that_no_brain_has_is_flagged(volume, flags):
    assert len(quality.volume_flags(volume)) == flags


def test_a_cut_brain_touches_the_edge():
    data = np.zeros((10, 20, 30))
    data[2:8, 5:15, 20:30] = 1
    assert quality.edge_contact_cm2(image(data, 2.0)) == pytest.approx(6 * 10 * 4 / 100)
