"""Intensity scales: stored, invertible, and robust to lesions and scalp."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from bidsapp.errors import DataError
from bidsapp.imaging.itk import like
from bidsapp.records import IntensityScale


def fit_scale(image: nib.Nifti1Image, mask: nib.Nifti1Image) -> IntensityScale:
    """Fit the robust in-mask scale: the median becomes 0 and the interquartile range 1.

    Parameters
    ----------
    image, mask : Nifti1Image, shape (X, Y, Z)
        On one grid.

    Returns
    -------
    IntensityScale
        Method ``median-iqr``.

    Raises
    ------
    DataError
        The mask is empty, or half of its voxels have one intensity.
    """
    inside = np.asarray(image.dataobj, np.float32)[np.asarray(mask.dataobj) > 0]
    if inside.size == 0:
        raise DataError("the brain mask is empty on the common grid", "look at the registration")
    low, middle, high = (float(value) for value in np.percentile(inside, (25, 50, 75)))
    if high <= low:
        raise DataError("half of the brain has one intensity", "look at the image")
    return IntensityScale("median-iqr", middle, high - low)


def normalize(image: nib.Nifti1Image, scale: IntensityScale) -> nib.Nifti1Image:
    """Return the image in units of a scale, float32."""
    return like(scale.forward(np.asarray(image.dataobj, np.float32)).astype(np.float32), image)
