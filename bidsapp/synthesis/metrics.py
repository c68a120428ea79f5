"""How far a prediction is from the acquired image, inside the brain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Agreement:
    """Agreement of a predicted with an acquired image inside a mask.

    Attributes
    ----------
    mae : float
        Mean absolute error, in the units of the images.
    psnr : float
        Peak signal-to-noise ratio, dB, with the peak `data_range`.
    ssim : float
        Structural similarity with the same `data_range`, averaged over the mask.
    data_range : float
        The acquired image's 0.5th to 99.5th percentile inside the mask.
    """

    mae: float
    psnr: float
    ssim: float
    data_range: float


def agreement(predicted: NDArray[np.float32], acquired: NDArray[np.float32], mask: NDArray[np.bool_]) -> Agreement:
    """Measure the agreement of two images inside a mask.

    Structural similarity is that of Wang et al. 2004 (doi:10.1109/TIP.2003.819861), Gaussian windows of
    σ = 1.5 voxels. Outside the mask both images are set to the acquired one's median, so that windows across the
    border compare what lies inside.

    Parameters
    ----------
    predicted, acquired : ndarray, shape (X, Y, Z)
        In the same units.
    mask : ndarray of bool, shape (X, Y, Z)
        Not empty.

    Returns
    -------
    Agreement
    """
    from skimage.metrics import structural_similarity

    inside = acquired[mask].astype(np.float64)
    error = predicted[mask].astype(np.float64) - inside
    low, high = np.percentile(inside, (0.5, 99.5))
    data_range = float(high - low)
    fill = np.float32(np.median(inside))
    _, similarity = structural_similarity(
        np.where(mask, predicted, fill),
        np.where(mask, acquired, fill),
        data_range=data_range,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
    )
    rms = float(np.sqrt(np.mean(error**2)))
    return Agreement(
        mae=float(np.mean(np.abs(error))),
        psnr=float(20 * np.log10(data_range / rms)) if rms > 0 else float("inf"),
        ssim=float(similarity[mask].mean()),
        data_range=data_range,
    )
