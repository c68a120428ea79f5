"""Structural similarity of two images inside a mask, at one scale and at five."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

K1, K2 = 0.01, 0.03
# Voxels of a Gaussian of σ = 1.5 that is cut off at 3.5 σ.
GAUSSIAN = 11
# Of the five scales, finest first (Wang, Simoncelli and Bovik 2003, doi:10.1109/ACSSC.2003.1292216).
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 7
# Four times halved, an axis must still hold the window.
LEAST = (WINDOW - 1) * 2 ** (len(WEIGHTS) - 1) + 1


def ssim(
    predicted: NDArray[np.floating], acquired: NDArray[np.floating], mask: NDArray[np.bool_], data_range: float
) -> float:
    """Return the structural similarity of Wang et al. 2004 (doi:10.1109/TIP.2003.819861), averaged over a mask.

    Gaussian windows of σ = 1.5 voxels, as in scikit-image. Outside the mask both images are set to the acquired
    one's median, so that windows across the border compare what lies inside.

    Parameters
    ----------
    predicted, acquired : ndarray, shape (X, Y, Z)
        In the same units.
    mask : ndarray of bool, shape (X, Y, Z)
        Not empty.
    data_range : float
        In the units of the images.

    Returns
    -------
    float
        Not-a-number where an axis has fewer voxels than a window.
    """
    from skimage.metrics import structural_similarity

    if min(mask.shape) < GAUSSIAN:
        return float("nan")
    fill = np.median(acquired[mask])
    _, similarity = structural_similarity(
        np.where(mask, predicted, fill).astype(np.float64),
        np.where(mask, acquired, fill).astype(np.float64),
        data_range=data_range,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
    )
    return float(similarity[mask].mean())


def ms_ssim(
    predicted: NDArray[np.floating],
    acquired: NDArray[np.floating],
    mask: NDArray[np.bool_],
    low: float,
    data_range: float,
) -> float:
    """Return the multi-scale structural similarity by which SynthRAD2025 ranked, averaged over a mask.

    Its definition, from its evaluation code (github.com/SynthRAD2025/evaluation): outside the mask both images are
    `low`, which then is subtracted; uniform windows of 7 voxels with sample covariance; luminance, contrast and
    structure all enter at each scale, with its weight, and none below 0; the mask is thinned, not averaged, from
    scale to scale; three voxels at the faces do not count. Images of fewer than 97 voxels are padded.

    Parameters
    ----------
    predicted, acquired : ndarray, shape (X, Y, Z)
        In the same units; clipped already where the range is a fixed one.
    mask : ndarray of bool, shape (X, Y, Z)
        Not empty.
    low, data_range : float
        In the units of the images.

    Returns
    -------
    float
        Not-a-number where the mask is so small that a scale has no voxel of it.
    """
    padding = [((gap := max(LEAST - n, 0)) // 2, gap - gap // 2) for n in mask.shape]
    images = [
        np.pad(np.where(mask, image, low).astype(np.float64) - low, padding, mode="edge")
        for image in (predicted, acquired)
    ]
    mask = np.pad(mask, padding, mode="edge")
    product = 1.0
    for level, weight in enumerate(WEIGHTS):
        if level:
            images = [_halved(image) for image in images]
            mask = mask[::2, ::2, ::2]
        product *= _at_scale(images[0], images[1], mask, weight, data_range)
    return product


def _at_scale(
    a: NDArray[np.float64], b: NDArray[np.float64], mask: NDArray[np.bool_], weight: float, data_range: float
) -> float:
    """Return the mean over the mask of the three components' product, each to the power of the scale's weight."""
    counted = np.zeros_like(mask)
    inner = (slice(WINDOW // 2, -(WINDOW // 2)),) * mask.ndim
    counted[inner] = mask[inner]
    if not counted.any():
        return float("nan")
    # What is not in the mask is not needed once windows are averaged: three quarters of the work.
    mean_a, mean_b, aa, bb, ab = (
        ndimage.uniform_filter(values, WINDOW)[counted] for values in (a, b, a * a, b * b, a * b)
    )
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    sample = WINDOW**mask.ndim / (WINDOW**mask.ndim - 1)
    var_a, var_b = sample * (aa - mean_a**2), sample * (bb - mean_b**2)
    spread = np.sqrt(np.maximum(var_a, 0)) * np.sqrt(np.maximum(var_b, 0))
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    contrast = (2 * spread + c2) / (var_a + var_b + c2)
    structure = (sample * (ab - mean_a * mean_b) + c2 / 2) / (spread + c2 / 2)
    components = np.maximum(luminance, 0) * np.maximum(contrast, 0) * np.maximum(structure, 0)
    return float(np.clip(np.mean(components**weight), 0, 1))


def _halved(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average each even voxel with its predecessor along every axis; 0 precedes the first."""
    for axis, size in enumerate(image.shape):
        image = np.moveaxis(image, axis, 0)
        before = np.concatenate([np.zeros_like(image[:1]), image[1 : size - 1 : 2]])[: -(-size // 2)]
        image = np.moveaxis((image[::2] + before) / 2, 0, axis)
    return image
