"""Intensity scales: stored, invertible, each from one visit alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from scipy import ndimage

from bidsapp.errors import DataError
from bidsapp.imaging.itk import like
from bidsapp.imaging.tissue import WHITE
from bidsapp.scales import IntensityScale

if TYPE_CHECKING:
    from numpy.typing import NDArray

HU_PER_UNIT = 1000.0
HISTOGRAM_BINS = 512
# Width of the Gaussian that smooths a histogram, as a share of its range; narrower, noise makes peaks of its own.
SMOOTHING = 0.02
# A peak counts when it rises above this share of the highest one.
PEAK_SHARE = 0.2
# Half the width of the white stripe, as a share of the brain's voxels (Shinohara et al. 2014).
STRIPE = 0.05


def fit_scale(
    method: str,
    image: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    contrast: str = "T1w",
    tissue: nib.Nifti1Image | None = None,
) -> IntensityScale:
    """Fit an intensity scale to one image.

    Parameters
    ----------
    method : str
        - ``robust``: the median in the brain becomes 0 and the interquartile range 1; lesions hardly move it;
        - ``zscore``: the mean becomes 0 and the standard deviation 1;
        - ``fcm``: the mean of white matter (fuzzy c-means on the T1w) becomes 1, 0 stays 0 (Reinhold et al. 2019,
          doi:10.1117/12.2513089);
        - ``kde``: the mode of white matter becomes 1, 0 stays 0 (the same);
        - ``whitestripe``: mean and standard deviation of the stripe about that mode become 0 and 1 (Shinohara et
          al. 2014, doi:10.1016/j.nicl.2014.08.008);
        - ``hu``: Hounsfield units over 1000; ``none``: as they are. These two look at nothing.
    image, mask : Nifti1Image, shape (X, Y, Z)
        Image and its own brain mask, which ends where its field of view ends, on one grid.
    contrast : str
        BIDS suffix: it says which peak of the histogram is white matter.
    tissue : Nifti1Image or None
        Tissue classes of the visit's T1w on the same grid, for ``fcm``.

    Returns
    -------
    IntensityScale

    Raises
    ------
    DataError
        The mask is empty, the brain has one intensity, or ``fcm`` finds no white matter in the mask.
    """
    if method == "hu":
        return IntensityScale(method, 0.0, HU_PER_UNIT)
    if method == "none":
        return IntensityScale(method, 0.0, 1.0)
    brain = np.asarray(mask.dataobj) > 0
    inside = np.asarray(image.dataobj, np.float32)[brain]
    if inside.size == 0:
        raise DataError("the brain mask is empty on the common grid", "look at the registration")
    classes = None if tissue is None else np.asarray(tissue.dataobj)[brain]
    offset, scale = _offset_and_scale(method, inside, contrast, classes)
    if not scale > 0:
        raise DataError(f"{method}: half of the brain has one intensity", "look at the image")
    return IntensityScale(method, float(offset), float(scale))


def normalize(image: nib.Nifti1Image, scale: IntensityScale) -> nib.Nifti1Image:
    """Return the image in units of a scale, float32."""
    return like(scale.forward(np.asarray(image.dataobj, np.float32)).astype(np.float32), image)


def _offset_and_scale(
    method: str, inside: NDArray[np.float32], contrast: str, classes: NDArray[np.integer] | None
) -> tuple[float, float]:
    if method == "robust":
        low, middle, high = np.percentile(inside, (25, 50, 75))
        return middle, high - low
    if method == "zscore":
        return float(inside.mean(dtype=np.float64)), float(inside.std(dtype=np.float64))
    if method == "kde":
        return 0.0, white_mode(inside, contrast)
    if method == "whitestripe":
        stripe = _white_stripe(inside, white_mode(inside, contrast))
        return float(stripe.mean(dtype=np.float64)), float(stripe.std(dtype=np.float64))
    if method == "fcm":
        if classes is None:
            raise DataError("fcm needs the tissue classes of the visit's T1w", "give --reference T1w")
        return 0.0, _white_mean(inside[classes == WHITE])
    raise ValueError(f"unknown intensity scale {method}")


def _white_mean(white: NDArray[np.float32]) -> float:
    if white.size == 0:
        raise DataError(
            "fcm: the scan's own brain mask holds none of the T1w's white matter",
            "look at the registration and at the brain masks, or give another --normalization",
        )
    return float(white.mean(dtype=np.float64))


def white_mode(inside: NDArray[np.float32], contrast: str) -> float:
    """Return the most frequent intensity of white matter.

    The peak of the smoothed histogram that white matter has: the last one on a T1w, where it is brightest; the
    highest one on any other contrast, where it is the largest share of the brain.
    """
    low, high = np.percentile(inside, (0.5, 99.5))
    counts, edges = np.histogram(inside, bins=HISTOGRAM_BINS, range=(low, high if high > low else low + 1))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), SMOOTHING * HISTOGRAM_BINS, mode="constant")
    centres = (edges[1:] + edges[:-1]) / 2
    if contrast != "T1w":
        return float(centres[smooth.argmax()])
    rises = np.diff(smooth, prepend=0.0, append=0.0)
    peaks = np.flatnonzero((rises[:-1] > 0) & (rises[1:] <= 0) & (smooth > PEAK_SHARE * smooth.max()))
    return float(centres[peaks[-1] if peaks.size else smooth.argmax()])


def _white_stripe(inside: NDArray[np.float32], mode: float) -> NDArray[np.float32]:
    rank = float((inside < mode).mean())
    low, high = np.quantile(inside, (max(rank - STRIPE, 0.0), min(rank + STRIPE, 1.0)))
    return np.asarray(inside[(inside >= low) & (inside <= high)])
