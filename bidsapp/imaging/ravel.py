"""What scanners and days leave in images, learned from cerebrospinal fluid and taken out everywhere (RAVEL).

Fortin et al. 2016, doi:10.1016/j.neuroimage.2016.02.036: fluid has no anatomy that differs between people, so what
its voxels share across the images of a cohort is unwanted; each voxel of the brain follows it to its own degree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.errors import DataError
from bidsapp.imaging.grid import own_grid, resample

if TYPE_CHECKING:
    from collections.abc import Iterable

    import nibabel as nib
    from numpy.typing import NDArray

    from bidsapp.imaging.transforms import LinearTransform

# Fewer images, and the factor is one of them.
MIN_IMAGES = 4
MIN_CONTROL_VOXELS = 100
# Fluid in this share of the visits.
CONTROL_SHARE = 0.9


@dataclass(frozen=True)
class Ravel:
    """One unwanted factor of the images of one contrast.

    Attributes
    ----------
    mean : ndarray, shape (V,)
        Mean of the control voxels over the images.
    loading : ndarray, shape (V,)
        Turns an image's centred control voxels into its factor.
    effect : ndarray, shape (X, Y, Z)
        By how much an image's voxels rise with the factor, on the template's grid.
    """

    mean: NDArray[np.float32]
    loading: NDArray[np.float32]
    effect: NDArray[np.float32]

    def factor(self, controls: NDArray[np.floating]) -> float:
        """Return the unwanted factor of an image, of this cohort or another, from its control voxels."""
        return float((controls.astype(np.float64) - self.mean) @ self.loading.astype(np.float64))


def control_region(count: NDArray[np.integer], images: int) -> NDArray[np.bool_]:
    """Return where fluid was found in nearly all images, given in how many; `DataError` where that is nowhere."""
    region = np.asarray(count >= CONTROL_SHARE * images)
    if region.sum() < MIN_CONTROL_VOXELS:
        raise DataError(
            f"only {region.sum()} voxels are fluid in all images, {MIN_CONTROL_VOXELS} are needed",
            "look at the brain masks, or give another --normalization",
        )
    return region


def fit_ravel(controls: NDArray[np.float32], images: Iterable[NDArray[np.float32]]) -> Ravel:
    """Learn the unwanted factor of a cohort.

    Parameters
    ----------
    controls : ndarray, shape (N, V)
        Control voxels of each image.
    images : iterable of ndarray, each of shape (X, Y, Z)
        The images on the template's grid, in the same order; each is looked at once.

    Returns
    -------
    Ravel

    Raises
    ------
    DataError
        There are fewer than `MIN_IMAGES`.
    """
    if len(controls) < MIN_IMAGES:
        raise DataError(
            f"ravel learns from {MIN_IMAGES} visits with a target or more, here are {len(controls)}",
            "give another --normalization",
        )
    mean = controls.mean(axis=0, dtype=np.float64)
    left, sizes, right = np.linalg.svd((controls - mean).T, full_matrices=False)
    factors = right[0]  # of length 1 and sum 0: an image's mean drops out of the regression
    effect = sum(factor * image.astype(np.float64) for factor, image in zip(factors, images, strict=True))
    loading = left[:, 0] / max(sizes[0], np.finfo(float).tiny)
    return Ravel(mean.astype(np.float32), loading.astype(np.float32), np.asarray(effect, np.float32))


def unwanted(
    effect: nib.Nifti1Image, factor: float, image: nib.Nifti1Image, transform: LinearTransform
) -> nib.Nifti1Image:
    """Return what to subtract from an image, on its own grid.

    Parameters
    ----------
    effect : Nifti1Image
        `Ravel.effect` on the template's grid.
    factor : float
        The image's.
    image : Nifti1Image
        Gives the grid.
    transform : LinearTransform
        Maps points of the template's space to points of the image's.
    """
    grid = own_grid(image)
    carried = resample(effect, grid, transform.inverse)
    return grid.image((factor * np.asarray(carried.dataobj)).astype(np.float32))
