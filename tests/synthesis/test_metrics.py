"""Measures of agreement, against scikit-image and against SynthRAD2025's definition written a second time."""

import dataclasses
import math
import time

import numpy as np
import pytest
from scipy import ndimage, signal
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bidsapp.imaging.tissue import FLUID, GREY, WHITE
from bidsapp.scales import IntensityScale
from bidsapp.synthesis.evaluation import measure
from bidsapp.synthesis.metrics import agreement
from bidsapp.synthesis.pairs import load_volume

HU = (-1024.0, 3071.0)


def scans(shape, seed=0):
    """Return a smooth image, a noisy copy and an ellipsoid, as float32."""
    random = np.random.default_rng(seed)
    acquired = ndimage.gaussian_filter(random.normal(size=shape), 1.5)
    acquired = (acquired / acquired.std()).astype(np.float32)
    noise = ndimage.gaussian_filter(random.normal(size=shape), 2.5)
    predicted = (acquired * 0.8 + 0.6 * noise / noise.std()).astype(np.float32)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return predicted, acquired, sum(axis**2 for axis in axes) < 0.9


def synthrad_ms_ssim(real, fake, mask):
    """Masked MS-SSIM of SynthRAD2025's evaluation, from its description, in another way than the code."""
    low, high = HU
    x, y = (np.where(mask, np.clip(image, low, high), low).astype(float) - low for image in (real, fake))
    gaps = [max(0, 97 - n) for n in mask.shape]
    pads = [(gap // 2, gap - gap // 2) for gap in gaps]
    x, y, m = (np.pad(image, pads, mode="edge") for image in (x, y, mask))
    c1, c2 = (0.01 * (high - low)) ** 2, (0.03 * (high - low)) ** 2
    product = 1.0
    for weight in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):
        windows = [np.lib.stride_tricks.sliding_window_view(image, (7, 7, 7)) for image in (x, y)]
        inner = m[3:-3, 3:-3, 3:-3]
        a, b = (window[inner].reshape(-1, 343) for window in windows)
        ma, mb = a.mean(1), b.mean(1)
        sa, sb = a.std(1, ddof=1), b.std(1, ddof=1)
        covariance = ((a - ma[:, None]) * (b - mb[:, None])).sum(1) / 342
        similar = (
            np.clip((2 * ma * mb + c1) / (ma**2 + mb**2 + c1), 0, None) ** weight
            * np.clip((2 * sa * sb + c2) / (sa**2 + sb**2 + c2), 0, None) ** weight
            * np.clip((covariance + c2 / 2) / (sa * sb + c2 / 2), 0, None) ** weight
        )
        product *= np.clip(similar.mean(), 0, 1)
        kernel = np.ones((2, 2, 2)) / 8
        x, y = (signal.fftconvolve(image, kernel, mode="same")[::2, ::2, ::2] for image in (x, y))
        m = m[::2, ::2, ::2]
    return product


def test_known_errors():
    acquired = np.random.default_rng(0).uniform(0, 10, (20, 20, 20)).astype(np.float32)
    mask = np.ones(acquired.shape, bool)
    mask[:5] = False
    predicted = acquired + 0.5
    predicted[:5] = 1e6  # outside the mask: of no account
    result = agreement(predicted, acquired, mask)
    assert result.mae == pytest.approx(0.5, rel=1e-5)
    assert result.rmse == pytest.approx(0.5, rel=1e-5)
    assert result.data_range == pytest.approx(9.9, abs=0.1)
    assert result.psnr == pytest.approx(20 * np.log10(result.data_range / 0.5), abs=1e-3)
    assert 0.9 < result.ssim < 1
    assert result.ncc == pytest.approx(1, abs=1e-6)
    assert result.sharpness == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("slices", "known"), [(10, False), (11, True)])
def test_too_few_slices_for_a_window_cost_that_measure_only(slices, known):
    predicted, acquired, mask = scans((40, 36, slices))
    result = agreement(predicted, acquired, mask).to_json()
    assert (result["ssim"] is not None) == known
    assert {name for name in ("mae", "psnr", "ms_ssim", "ncc", "sharpness") if result[name] is None} == set()


def test_perfect_prediction():
    _, acquired, mask = scans((40, 36, 30))
    result = agreement(acquired, acquired, mask)
    assert (result.mae, result.rmse, result.psnr) == (0, 0, math.inf)
    assert (result.ssim, result.ncc, result.sharpness) == pytest.approx((1, 1, 1))
    assert result.ms_ssim == pytest.approx(1)
    assert (result.dice_dark, result.dice_middle, result.dice_bright) == (1, 1, 1)
    assert result.to_json()["psnr"] is None  # JSON knows no infinity
    assert result.to_json()["mae_grey"] is None


def test_psnr_and_ssim_agree_with_scikit_image():
    predicted, acquired, mask = scans((40, 36, 30))
    result = agreement(predicted, acquired, mask)
    a, b = predicted.astype(float), acquired.astype(float)
    assert result.psnr == pytest.approx(
        peak_signal_noise_ratio(b[mask], a[mask], data_range=result.data_range), abs=1e-6
    )
    fill = np.median(b[mask])
    options = {"gaussian_weights": True, "use_sample_covariance": False, "full": True}
    _, similarity = structural_similarity(
        np.where(mask, b, fill), np.where(mask, a, fill), data_range=result.data_range, **options
    )
    assert result.ssim == pytest.approx(similarity[mask].mean(), abs=1e-6)
    assert result.ncc == pytest.approx(np.corrcoef(a[mask], b[mask])[0, 1], abs=1e-6)


@pytest.mark.parametrize("shape", [(40, 35, 30), (101, 30, 98)])
def test_mae_psnr_and_ms_ssim_of_a_ct_are_synthrads(shape):
    predicted, acquired, mask = scans(shape)
    predicted, acquired = (1500 * image for image in (predicted, acquired))  # some of it outside the range
    assert acquired[mask].max() > HU[1]
    result = agreement(predicted, acquired, mask, hounsfield=True)
    a, b = predicted.astype(float)[mask], acquired.astype(float)[mask]
    assert result.mae == pytest.approx(np.abs(a - b).mean(), abs=1e-6)
    assert result.data_range == 4095
    squares = np.mean((np.clip(a, *HU) - np.clip(b, *HU)) ** 2)
    assert result.psnr == pytest.approx(10 * np.log10(4095**2 / squares), abs=1e-6)
    assert result.ms_ssim == pytest.approx(synthrad_ms_ssim(acquired, predicted, mask), abs=1e-6)
    assert 0.3 < result.ms_ssim < 0.99


def test_a_mask_of_which_a_scale_has_no_voxel_has_no_ms_ssim():
    predicted, acquired, mask = scans((40, 36, 30))
    mask[:, :, 8:] = False
    assert math.isnan(agreement(predicted, acquired, mask).ms_ssim)


def test_blur_lowers_sharpness_and_millimetres_count():
    _, acquired, mask = scans((40, 36, 30))
    blurred = ndimage.gaussian_filter(acquired, 1.5)
    # White noise behind a Gaussian of σ has slopes of σ ** -2.5, and two Gaussians of 1.5 are one of 1.5 √2.
    assert agreement(blurred, acquired, mask).sharpness == pytest.approx(2**-1.25, abs=0.03)
    stretched = agreement(blurred, acquired, mask, spacing=(1, 1, 1000))
    flat = [np.gradient(image, axis=(0, 1)) for image in (blurred, acquired)]
    inside = ndimage.binary_erosion(mask)
    means = [np.hypot(*slopes)[inside].mean() for slopes in flat]
    assert stretched.sharpness == pytest.approx(means[0] / means[1], abs=1e-3)


def test_errors_by_tissue_and_overlap_of_classes():
    random = np.random.default_rng(0)
    tissues = random.integers(1, 4, (20, 20, 20)).astype(np.uint8)
    acquired = (10.0 * tissues + random.normal(size=tissues.shape)).astype(np.float32)
    predicted = acquired + np.choose(tissues, [0, 1, 2, 3]).astype(np.float32)
    first_white = np.flatnonzero(tissues == WHITE)[:100]
    predicted.flat[first_white] = 10  # as dark as fluid
    mask = np.ones(tissues.shape, bool)
    result = agreement(predicted, acquired, mask, tissues=tissues)
    assert (result.mae_fluid, result.mae_grey) == pytest.approx((1, 2), abs=1e-5)
    counts = [int((tissues == label).sum()) for label in (FLUID, GREY, WHITE)]
    assert result.dice_dark == pytest.approx(2 * counts[0] / (2 * counts[0] + 100), abs=0.003)
    assert result.dice_middle == pytest.approx(1, abs=0.003)
    assert result.dice_bright == pytest.approx(2 * (counts[2] - 100) / (2 * counts[2] - 100), abs=0.003)


def test_errors_of_a_ct_by_density():
    acquired = np.full((12, 12, 20), -1000, np.float32)
    acquired[:, :, 8:] = 40
    acquired[:, :, 16:] = 900
    acquired[:, :, 7] = -400  # skin and air
    predicted = acquired + np.where(acquired < -200, 20, np.where(acquired > 300, -200, 5)).astype(np.float32)
    result = agreement(predicted, acquired, np.ones(acquired.shape, bool), hounsfield=True)
    assert (result.mae_air, result.mae_soft, result.mae_bone) == pytest.approx((20, 5, 200))
    assert result.mae_head == pytest.approx((4 * 5 + 2 * 200) / 6)
    assert result.mae == pytest.approx((4 * 20 + 4 * 5 + 2 * 200) / 10)
    assert result.mean_air == pytest.approx(-980)
    assert math.isnan(agreement(predicted, acquired, np.ones(acquired.shape, bool)).mae_bone)


def test_a_prediction_of_one_intensity_has_neither_classes_nor_correlation():
    _, acquired, mask = scans((20, 20, 20))
    result = agreement(np.zeros_like(acquired), acquired, mask)
    assert result.sharpness == 0
    assert math.isnan(result.ncc)
    assert math.isnan(result.dice_dark)


def test_tissues_are_those_of_the_t1w_and_a_ct_has_its_fixed_range(pairs, plan):
    volume = load_volume(pairs[0], plan.features)
    image = volume.target + np.where(volume.inputs[0] > 5, 1, 0).astype(np.float32)  # 5 is the T1w's mean
    result = measure(volume, image, plan)
    assert (result.mae_fluid, result.mae_white) == pytest.approx((0, 1), abs=1e-6)
    assert 0.2 < result.mae_grey < 0.8
    assert math.isnan(measure(volume, image, dataclasses.replace(plan, sources=("T2w",))).mae_grey)
    hu = dataclasses.replace(volume.pair, target_scale=IntensityScale("hu", 0.0, 100.0))
    result = measure(dataclasses.replace(volume, pair=hu), volume.target + np.float32(0.25), plan)
    assert (result.data_range, result.mae, result.mae_head) == pytest.approx((4095, 25, 25), rel=1e-4)
    assert math.isnan(result.mae_grey)  # its tissues are looked for in a brain, not in a head
    beyond = measure(dataclasses.replace(volume, pair=hu), volume.target + np.float32(100), plan)
    assert beyond.mae == pytest.approx((3071 - 100 * volume.target[volume.loss_mask]).mean(), rel=1e-4)  # clipped
    assert measure(load_volume(pairs[3], plan.features), image, plan) is None


@pytest.mark.slow
def test_a_head_of_one_millimetre_is_measured_in_seconds():
    predicted, acquired, mask = scans((160, 190, 150))
    start = time.process_time()
    agreement(predicted, acquired, mask, tissues=np.ones(mask.shape, np.uint8))
    assert time.process_time() - start < 12
