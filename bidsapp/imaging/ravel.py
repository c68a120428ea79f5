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
# Fluid that is covered in this share of the visits.
CONTROL_SHARE = 0.9
# Where images that spread less in the factor than this share of all cover a voxel, its effect is not known.
MIN_SPREAD = 0.5
# Filling in what a tenth of the images lack settles in 14 rounds where that is half of the control voxels.
MAX_ROUNDS, SETTLED = 100, 1e-6


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

    def factor(self, controls: NDArray[np.floating], covered: NDArray[np.bool_]) -> float:
        """Return the unwanted factor of an image, of this cohort or another, by least squares.

        Parameters
        ----------
        controls : ndarray, shape (V,)
            Its control voxels.
        covered : ndarray of bool, shape (V,)
            Which of them it covers; what the others hold does not matter.

        Raises
        ------
        DataError
            It covers too few.
        """
        if covered.sum() < MIN_CONTROL_VOXELS:
            raise DataError(
                f"only {covered.sum()} of the {covered.size} voxels of fluid that ravel compares are covered by "
                f"the scan, {MIN_CONTROL_VOXELS} are needed",
                "leave the scan out, or give another --normalization",
            )
        loading = self.loading.astype(np.float64)
        share = (loading[covered] ** 2).sum() / (loading**2).sum()
        return float((controls.astype(np.float64) - self.mean)[covered] @ loading[covered] / share)


def control_region(count: NDArray[np.integer], visits: int) -> NDArray[np.bool_]:
    """Return where nearly all visits have fluid that all their scans cover, given how many have it.

    Raises
    ------
    DataError
        That is nearly nowhere.
    """
    region = np.asarray(count >= CONTROL_SHARE * visits)
    if region.sum() < MIN_CONTROL_VOXELS:
        raise DataError(
            f"only {region.sum()} voxels are fluid, and covered by every scan, in {CONTROL_SHARE:.0%} of the "
            f"visits, {MIN_CONTROL_VOXELS} are needed",
            "look at the brain masks, leave out scans of a part of the brain, or give another --normalization",
        )
    return region


def fit_ravel(
    controls: NDArray[np.float32],
    covered: NDArray[np.bool_],
    images: Iterable[NDArray[np.float32]],
    views: Iterable[NDArray[np.bool_]],
) -> Ravel:
    """Learn the unwanted factor of a cohort.

    Parameters
    ----------
    controls : ndarray, shape (N, V)
        Control voxels of each image.
    covered : ndarray of bool, shape (N, V)
        Which of them an image covers; the others are filled in by the factor that is learned.
    images : iterable of ndarray, each of shape (X, Y, Z)
        The images on the template's grid, in the same order; each is looked at once.
    views : iterable of ndarray of bool, each of shape (X, Y, Z)
        Where each of them was acquired.

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
    mean, direction, size, factors = _first_factor(controls.astype(np.float64), covered)
    loading = direction / max(size, np.finfo(float).tiny)
    effect = _effect(factors, images, views)
    return Ravel(mean.astype(np.float32), loading.astype(np.float32), effect.astype(np.float32))


def _first_factor(
    controls: NDArray[np.float64], covered: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, NDArray[np.float64]]:
    """Return mean, direction, size and factors of the first principal component of incomplete rows.

    What is missing is replaced by what the component says, until that changes nothing (Ilin & Raiko 2010, JMLR
    11:1957, the imputation algorithm).
    """
    known = np.maximum(covered.sum(axis=0), 1)
    filled = np.where(covered, controls, np.where(covered, controls, 0).sum(axis=0) / known)
    for _ in range(MAX_ROUNDS):
        mean = filled.mean(axis=0)
        left, sizes, right = np.linalg.svd((filled - mean).T, full_matrices=False)
        said = np.where(covered, controls, mean + sizes[0] * np.outer(right[0], left[:, 0]))
        change = np.abs(said - filled).max()
        filled = said
        if change <= SETTLED * max(sizes[0], 1.0):
            break
    return mean, left[:, 0], float(sizes[0]), right[0]


def _effect(
    factors: NDArray[np.float64], images: Iterable[NDArray[np.float32]], views: Iterable[NDArray[np.bool_]]
) -> NDArray[np.float64]:
    """Return the slope of each voxel on the factor, over the images that cover it; 0 where it is not known."""
    sums: NDArray[np.float64] | None = None
    for factor, image, view in zip(factors, images, views, strict=True):
        values = np.where(view, image, 0).astype(np.float64)
        terms = np.stack([view, factor * view, factor**2 * view, values, factor * values])
        sums = terms if sums is None else sums + terms
    assert sums is not None  # noqa: S101 - there are MIN_IMAGES
    count, first, second, value, product = sums
    spread = second - first**2 / np.maximum(count, 1)
    slope = (product - first * value / np.maximum(count, 1)) / np.maximum(spread, MIN_SPREAD)
    return np.where((count >= MIN_IMAGES) & (spread >= MIN_SPREAD), slope, 0.0)


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
