"""Tissue classes of a T1w image."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from bidsapp.errors import DataError
from bidsapp.imaging.itk import like

FLUID, GREY, WHITE = 1, 2, 3
BINS = 1024
FUZZINESS = 2.0
TOLERANCE = 1e-6
MAX_ITERATIONS = 500


def tissue_classes(image: nib.Nifti1Image, mask: nib.Nifti1Image) -> nib.Nifti1Image:
    """Tell fluid, grey and white matter apart by fuzzy c-means (Bezdek 1981) on the histogram of a T1w's brain.

    A thousand bins stand for millions of voxels, so it takes a moment and repeats to the bit; no neighbourhood is
    looked at, so the bias field must be gone.

    Parameters
    ----------
    image, mask : Nifti1Image, shape (X, Y, Z)
        Bias-corrected T1w and its brain mask, on one grid.

    Returns
    -------
    Nifti1Image, shape (X, Y, Z), uint8
        0 outside the mask, then `FLUID`, `GREY`, `WHITE`.

    Raises
    ------
    DataError
        The brain has hardly more than one intensity.
    """
    data, inside = np.asarray(image.dataobj, np.float32), np.asarray(mask.dataobj) > 0
    values = data[inside]
    if values.size == 0:
        raise DataError("the brain mask is empty on the common grid", "look at the registration")
    classes = np.zeros(data.shape, np.uint8)
    classes[inside] = intensity_classes(values)
    return like(classes, image)


def intensity_classes(values: np.ndarray) -> np.ndarray:
    """Sort intensities of a brain into three classes; in a T1w these are the tissues.

    Parameters
    ----------
    values : ndarray, shape (N,)
        Intensities of the voxels in the mask, at least one.

    Returns
    -------
    ndarray, shape (N,), uint8
        1, the darkest, to 3.

    Raises
    ------
    DataError
        There is hardly more than one intensity.
    """
    low, high = np.percentile(values, (0.1, 99.9))
    if high <= low:
        raise DataError("the brain has one intensity", "look at the image")
    counts, edges = np.histogram(np.clip(values, low, high), bins=BINS, range=(low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    means = np.sort(_fuzzy_means(centres, counts.astype(float), np.percentile(values, (10, 45, 80))))
    borders = (means[1:] + means[:-1]) / 2
    return np.asarray(np.digitize(values, borders) + 1, np.uint8)


def _fuzzy_means(values: np.ndarray, weights: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return the class means of weighted values; ``weights`` are counts."""
    for _ in range(MAX_ITERATIONS):
        distance = np.maximum(np.abs(values[:, None] - means), np.finfo(float).tiny)
        membership = distance ** (-2 / (FUZZINESS - 1))
        membership /= membership.sum(axis=1, keepdims=True)
        share = weights[:, None] * membership**FUZZINESS
        updated = (share * values[:, None]).sum(axis=0) / share.sum(axis=0)
        if np.abs(updated - means).max() < TOLERANCE * (values[-1] - values[0]):
            return np.asarray(updated)
        means = updated
    return np.asarray(means)
