"""Brain masks."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from bidsapp.errors import DataError
from bidsapp.imaging.itk import like

# What a newborn's and the largest adult's brain stay within, with room for the fluid around them.
MIN_BRAIN_ML = 250.0
MAX_BRAIN_ML = 2500.0


def brain_mask(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Find the brain with deepbet (Fisch et al. 2024, doi:10.1016/j.compbiomed.2024.108845).

    A network trained on T1w images that holds on FLAIR and T2w; its weights come with its package. It runs on
    the CPU: a graphics card would not repay the copy.

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        A whole head, or a head whose skull was taken off already.

    Returns
    -------
    Nifti1Image, shape (X, Y, Z), uint8
        1 in the brain; one connected component without holes.

    Raises
    ------
    DataError
        No brain was found, or what was found is too small or too large to be one.
    """
    from deepbet import BrainExtraction

    advice = "look at the image: is it a head, and the right way up?"
    try:
        _, mask, _ = BrainExtraction(no_gpu=True).run(image)
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:  # what an empty foreground leads to
        raise DataError(f"no brain was found ({error or type(error).__name__})", advice) from error
    inside = np.asarray(mask.dataobj) > 0
    volume = float(inside.sum() * np.prod(voxel_sizes(image.affine)) / 1000)
    if volume < MIN_BRAIN_ML:
        raise DataError(f"only {volume:.0f} ml of brain were found", advice)
    if volume > MAX_BRAIN_ML:
        raise DataError(f"{volume:.0f} ml of brain were found, more than anyone has", advice)
    return like(inside.astype(np.uint8), image)
