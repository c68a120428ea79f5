"""What is different about CT: intensities with a meaning, a bright skull, no bias field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bidsapp.errors import DataError
from bidsapp.imaging.hounsfield import Units, units_of
from bidsapp.imaging.itk import like

if TYPE_CHECKING:
    from numpy.typing import NDArray

AIR_HU = -1024.0
MAX_HU = 3071.0
# Fat and air are below, bone and contrast agent above; in between is the head's soft tissue.
SOFT_TISSUE_HU = (-200.0, 300.0)
HEAD_HU = -300.0
BRAIN_HU = (0.0, 100.0)
BONE_HU = 300.0
OPENING_MM = 3.0
# Denser than that is no air, whatever its noise is: the table, or skin and air in one voxel.
CLEAR_AIR_HU = -800.0


def hounsfield(image: nib.Nifti1Image) -> tuple[nib.Nifti1Image, tuple[str, ...]]:
    """Return a CT within the range of Hounsfield units, and what was decided about it.

    Raises
    ------
    DataError
        Air is not near −1000, though this is no brain without its skull: no Hounsfield units.
    """
    data = np.asarray(image.dataobj, np.float32)
    if data.min() > -200 and _is_brain_on_zeros(data):
        return like(np.clip(data, AIR_HU, MAX_HU), image), ("There is no air: the skull was taken off, to 0 HU.",)
    units = units_of(data)
    if units is Units.SHIFTED:
        raise DataError(
            "air is near 0 and water near 1000: these are no Hounsfield units, but such that are 1024 too high",
            "convert the CT again, with its rescale intercept; synthprep-bidsify subtracts them",
        )
    if units is Units.UNKNOWN:
        raise DataError(
            f"nothing is near −1000 HU, as air is, but values are {data.min():.0f} and above: these are no "
            "Hounsfield units",
            "convert the CT again, with its rescale intercept",
        )
    outside = int(((data < AIR_HU) | (data > MAX_HU)).sum())
    said = f"{outside} voxels were clipped to {AIR_HU:g} … {MAX_HU:g} HU."
    return like(np.clip(data, AIR_HU, MAX_HU), image), (said,) if outside else ()


def _is_brain_on_zeros(data: np.ndarray) -> bool:
    """Return whether a CT without air is what a skull-stripper left: mostly zeros, the rest as dense as brain."""
    tissue = data[data != 0]
    return 0.5 * data.size > tissue.size > 0 and BRAIN_HU[0] < float(np.median(tissue)) < BRAIN_HU[1]


def soft_tissue(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return a CT clipped to the values that tell its soft tissues apart, for registration and figures."""
    return like(np.clip(np.asarray(image.dataobj, np.float32), *SOFT_TISSUE_HU), image)


def head_mask(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return the head on a CT, uint8: the largest piece denser than −300 HU, holes filled; no table."""
    dense = np.asarray(image.dataobj) > HEAD_HU
    ball = _ball(image, OPENING_MM)
    head = ndimage.binary_dilation(_largest(ndimage.binary_erosion(dense, ball)), ball) & dense
    for axis in range(3):  # nasal cavity and ears open to the outside in some slices only
        head |= np.stack([ndimage.binary_fill_holes(plane) for plane in np.moveaxis(head, axis, 0)], axis=axis)
    return like(head.astype(np.uint8), image)


def measured_region(image: nib.Nifti1Image, head: nib.Nifti1Image, view: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return where a CT shows the head and the air around it, uint8: its field of view without the table.

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        Hounsfield units.
    head : Nifti1Image, shape (X, Y, Z)
        From `head_mask`. What is denser than −800 HU and more than 3 mm outside it is the table.
    view : Nifti1Image, shape (X, Y, Z)
        1 in the field of view.
    """
    near = ndimage.binary_dilation(np.asarray(head.dataobj) > 0, _ball(image, OPENING_MM))
    table = ~near & (np.asarray(image.dataobj) > CLEAR_AIR_HU)
    return like(((np.asarray(view.dataobj) > 0) & ~table).astype(np.uint8), image)


def ct_brain(image: nib.Nifti1Image) -> NDArray[np.bool_]:
    """Find what the skull encloses on a CT (after Muschelli et al. 2015, doi:10.1016/j.neuroimage.2015.03.074).

    The largest piece of 0 to 100 HU that bone does not touch, opened so that the neck and the orbits let go of it.

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        Hounsfield units.

    Returns
    -------
    ndarray, shape (X, Y, Z)
        True in the brain.

    Raises
    ------
    DataError
        Nothing has the density of brain.
    """
    data = ndimage.gaussian_filter(np.asarray(image.dataobj, np.float32), 1.0 / voxel_sizes(image.affine))
    bone = ndimage.binary_closing(data > BONE_HU, _ball(image, OPENING_MM))
    tissue = (data > BRAIN_HU[0]) & (data < BRAIN_HU[1]) & ~bone
    core = _largest(ndimage.binary_erosion(tissue, _ball(image, 2 * OPENING_MM)))
    if not core.any():
        raise DataError("nothing in the CT has the density of brain", "look at the image: is it a head, in HU?")
    grown = ndimage.binary_dilation(core, _ball(image, 2.5 * OPENING_MM)) & ~bone & (data > BRAIN_HU[0] - 20)
    return np.asarray(ndimage.binary_fill_holes(grown), bool)


def _ball(image: nib.Nifti1Image, radius_mm: float) -> np.ndarray:
    """Return the structuring element of a ball in an image's voxels."""
    sizes = voxel_sizes(image.affine)
    reach = np.floor(radius_mm / sizes).astype(int)
    axes = [np.arange(-n, n + 1) * size for n, size in zip(reach, sizes, strict=True)]
    offsets = np.meshgrid(*axes, indexing="ij")
    return np.asarray(np.sum(np.square(offsets), axis=0) <= radius_mm**2)


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.asarray(mask, bool)
    return np.asarray(labels == np.bincount(labels.ravel())[1:].argmax() + 1)
