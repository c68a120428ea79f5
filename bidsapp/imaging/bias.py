"""The bias field of an MR image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bidsapp.imaging.itk import import_ants, like, to_ants

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHRUNK_VOXEL_MM = 4.0
# N4 takes one voxel of many as it is; a little averaging before that keeps their noise out of its histograms.
SMOOTHING_MM = 1.0
# Voxels of the brain darker than this share of its median are fluid or empty: their logarithm is mostly noise.
DARK_SHARE = 0.5
ITERATIONS = 50
TOLERANCE = 5e-4


def estimate_bias_field(image: nib.Nifti1Image, mask: nib.Nifti1Image, *, levels: int = 3) -> nib.Nifti1Image:
    """Estimate the bias field with N4 (Tustison et al. 2010, doi:10.1109/TMI.2010.2046908).

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        As acquired.
    mask : Nifti1Image, shape (X, Y, Z)
        Brain mask. Without one N4 fits air and scalp, and corrects little.
    levels : int
        Fitting levels; each doubles the resolution of the spline.

    Returns
    -------
    Nifti1Image, shape (X, Y, Z), float32
        Positive; its geometric mean inside the mask is 1, so that correcting keeps the image's level.
    """
    ants = import_ants()
    data, inside = np.asarray(image.dataobj), np.asarray(mask.dataobj) > 0
    bright = inside & (data > DARK_SHARE * np.median(data[inside]))
    field = ants.n4_bias_field_correction(
        to_ants(like(_averaged(data, bright, voxel_sizes(image.affine)), image)),
        mask=to_ants(like(bright.astype(np.uint8), image)),
        shrink_factor=shrink_factor(image),
        convergence={"iters": [ITERATIONS] * levels, "tol": TOLERANCE},
        return_bias_field=True,
    ).numpy()
    field = np.maximum(field, np.finfo(np.float32).tiny)
    field /= np.exp(np.log(field[inside]).mean())
    return like(field.astype(np.float32), image)


def _averaged(
    data: NDArray[np.float32], mask: NDArray[np.bool_], sizes: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Smooth an image by a Gaussian that looks at the voxels of a mask only; elsewhere what it says is unused."""
    sigma = SMOOTHING_MM / sizes
    share = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(np.where(mask, data, np.float32(0)), sigma)
    return np.asarray(total / np.maximum(share, np.float32(1e-6)))


def shrink_factor(image: nib.Nifti1Image) -> int:
    """Return the factor by which N4 may thin the image: to voxels of about (4 mm)³, 1 to 4."""
    return max(1, min(4, round(SHRUNK_VOXEL_MM / float(np.prod(voxel_sizes(image.affine)) ** (1 / 3)))))


def field_range(field: nib.Nifti1Image, mask: nib.Nifti1Image) -> float:
    """Return the 95th percentile of a bias field over its 5th in a mask: 1 where there is none.

    MRIQC's ``inu_range`` is their difference; a ratio does not depend on the field's level.
    """
    low, high = np.percentile(np.asarray(field.dataobj)[np.asarray(mask.dataobj) > 0], (5, 95))
    return float(high / low)


def correct_bias(image: nib.Nifti1Image, field: nib.Nifti1Image) -> nib.Nifti1Image:
    """Divide an image by its bias field; the whole head, not only where the field was estimated."""
    return like(np.asarray(image.dataobj, np.float32) / np.asarray(field.dataobj, np.float32), image)
