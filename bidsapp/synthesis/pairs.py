"""From a pair's files to the arrays that a network reads: cropped to the brain, with input channels stacked.

Files store voxels in many orders; the arrays are brought to one (first axis to the right, second to the front,
third up), for a network that learned of brains stored one way would else see them mirrored or lying in others.

Where a CT is predicted, all that is said of the brain here and in sampling, losses and inference is true of the
head and the air around it.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from scipy import ndimage

from bidsapp.errors import DataError
from bidsapp.imaging.declared import check_declared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bidsapp.records import Pair

# Normalized intensities are counted in interquartile ranges from the median; air lies about five below it.
# Inputs are shifted by this much, so that air, the masked-out background and zero padding are nearly one number.
AIR = 5.0
MARGIN_MM = 8.0
RAS = axcodes2ornt("RAS")
# On scales on which the brain is at 0, air is two or more below.
LEAST_DEPTH = 0.5


@dataclass(frozen=True)
class Volume:
    """A pair in memory, cropped to the brain, its axes nearest to left-right, back-front and down-up.

    Attributes
    ----------
    pair : Pair
        Where it came from.
    inputs : ndarray, shape (C, X, Y, Z), float32
        Sources, presence and feature channels, 0 outside the brain.
    mask : ndarray, shape (X, Y, Z), bool
        Where an image is predicted.
    target : ndarray, shape (X, Y, Z), float32, or None
        Normalized target.
    loss_mask : ndarray, shape (X, Y, Z), bool, or None
        Where the target was acquired and lies in the brain, within the pair's axial range.
    affine : ndarray, shape (4, 4)
        Voxel indices of the *full* image to RAS mm.
    shape : tuple of int
        Shape of the full image.
    stored : ndarray, shape (4, 4)
        Voxel indices to RAS mm in the files, whose axes may come in another order.
    code : int
        NIfTI code of its space.
    box : tuple of slice
        Where the cropped arrays lie in it.
    """

    pair: Pair
    inputs: NDArray[np.float32]
    mask: NDArray[np.bool_]
    target: NDArray[np.float32] | None
    loss_mask: NDArray[np.bool_] | None
    affine: NDArray[np.float64]
    shape: tuple[int, ...]
    stored: NDArray[np.float64]
    code: int
    box: tuple[slice, ...]

    def full(self, values: NDArray[np.float32], fill: float) -> NDArray[np.float32]:
        """Put cropped values back into an image of the full shape; `fill` outside the mask."""
        image = np.full(self.shape, fill, np.float32)
        image[self.box] = np.where(self.mask, values, np.float32(fill))
        return image

    def image(self, values: NDArray[np.float32], fill: float) -> nib.Nifti1Image:
        """Return `full` as an image on the grid of the files, voxel by voxel in their order."""
        turn = ornt_transform(RAS, io_orientation(self.stored))
        image = nib.Nifti1Image(apply_orientation(self.full(values, fill), turn), self.stored)
        image.set_sform(self.stored, self.code)
        return image


def load_volume(pair: Pair, features: Sequence[str], *, presence: bool = False) -> Volume:
    """Read a pair's images and build the network's input.

    Parameters
    ----------
    pair : Pair
        Normalized images and masks on one grid. A source that the visit lacks is read as the median of its
        scale throughout the brain.
    features : sequence of str
        Feature channels to stack on the sources, names in ``FEATURES``.
    presence : bool
        Stack a channel for each source between them: 1 in the brain where the visit has it, else 0.

    Returns
    -------
    Volume
        Cropped to where an image is predicted, the mask and the pair's margin, and 8 mm more.

    Raises
    ------
    DataError
        A file cannot be read, lies on another grid, or the mask is empty.
    """
    mask_image = _open(pair.mask)
    turn = io_orientation(mask_image.affine)
    affine = mask_image.affine @ inv_ornt_aff(turn, mask_image.shape)
    mask = _grown(_turned(mask_image, turn, pair.mask) > 0, affine, pair.margin_mm)
    if not mask.any():
        raise DataError(f"{pair.mask}: empty mask", "look at the scan, and leave the visit out")
    box = _bounding_box(mask, affine)
    inside = mask[box].copy(order="K")
    sources = [np.float32(0) if path is None else _read(path, mask_image, box) for path in pair.sources]
    zeros = pair.zeros or (None,) * len(sources)
    channels = [np.where(inside, _above_air(*source), 0) for source in zip(sources, zeros, strict=True)]
    if presence:
        channels += [inside & (path is not None) for path in pair.sources]
    channels += [np.where(inside, FEATURES[name](inside, affine), 0) for name in features]
    target = loss_mask = None
    if pair.target is not None:
        target = _read(pair.target, mask_image, box)
        loss_mask = inside if pair.target_mask is None else inside & (_read(pair.target_mask, mask_image, box) > 0)
        if pair.axial_range is not None:
            loss_mask = loss_mask & _between(pair.axial_range, inside, affine)
    inputs = np.stack(channels).astype(np.float32)
    code = int(mask_image.header["sform_code"]) or 1
    return Volume(pair, inputs, inside, target, loss_mask, affine, mask.shape, mask_image.affine, code, box)


def _above_air(source: NDArray[np.float32] | np.float32, zero: float | None) -> NDArray[np.float32] | np.float32:
    """Return normalized intensities as a network reads them: the brain is about 5, air about 0.

    In a brain it is enough to shift them. Where air is looked at, too, `zero` is its normalized value: merely
    shifted it would lie at 0 to 4, elsewhere in each visit, as the brain's intensities spread. Signals are then
    counted in fifths of the brain's, which is at 0 on a scale that has air below it, else at 1.
    """
    if zero is None:
        return source + np.float32(AIR)
    return np.float32(AIR) * (1 - source / np.float32(zero) if zero < -LEAST_DEPTH else source - np.float32(zero))


def _grown(mask: NDArray[np.bool_], affine: NDArray[np.float64], margin_mm: float) -> NDArray[np.bool_]:
    """Return a mask and all that is at most so far from it."""
    if not margin_mm or not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=voxel_sizes(affine)) <= margin_mm)


def _between(
    percent: tuple[float, float], mask: NDArray[np.bool_], affine: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return where the world's up-down coordinate lies between two percentages of the brain's extent along it."""
    steps = [np.arange(n, dtype=np.float64) * d for n, d in zip(mask.shape, affine[2, :3], strict=True)]
    height = steps[0][:, None, None] + steps[1][:, None] + steps[2]
    bottom, top = height[mask].min(), height[mask].max()
    low, high = (bottom + (top - bottom) * share / 100 for share in percent)
    return np.asarray((height >= low) & (height <= high))


def mask_feature(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.float32]:  # noqa: ARG001
    """Return 1 inside the brain."""
    return mask.astype(np.float32)


def depth_feature(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the distance to the surface of the brain, in units of 20 mm."""
    depth = ndimage.distance_transform_edt(mask, sampling=voxel_sizes(affine))
    return np.asarray(depth / 20.0, np.float32)


def _position_feature(axis: int) -> Callable[[NDArray[np.bool_], NDArray[np.float64]], NDArray[np.float32]]:
    """Return a function for the world coordinate along `axis`, from the brain's centre, in standard deviations.

    Left and right are told apart by no contrast, so of the left-right coordinate only the magnitude is given:
    a mirrored brain is as good an example as the brain itself.
    """

    def feature(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.float32]:
        direction = affine[axis, :3]
        steps = [np.arange(n, dtype=np.float64) * d for n, d in zip(mask.shape, direction, strict=True)]
        position = steps[0][:, None, None] + steps[1][:, None] + steps[2]
        inside = position[mask]
        z = (position - inside.mean()) / inside.std()
        return np.asarray(np.abs(z) if axis == 0 else z, np.float32)

    return feature


FEATURES: dict[str, Callable[[NDArray[np.bool_], NDArray[np.float64]], NDArray[np.float32]]] = {
    "mask": mask_feature,
    "depth": depth_feature,
    "lateral": _position_feature(0),
    "anterior": _position_feature(1),
    "superior": _position_feature(2),
}


def _bounding_box(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> tuple[slice, ...]:
    (tight,) = ndimage.find_objects(mask.astype(np.uint8))
    margins = [math.ceil(MARGIN_MM / size) for size in voxel_sizes(affine)]
    return tuple(
        slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(tight, margins, mask.shape, strict=True)
    )


def _open(path: Path) -> nib.Nifti1Image:
    try:
        check_declared(path)
        return nib.Nifti1Image.from_filename(path)
    except (OSError, EOFError, zlib.error, ImageFileError) as error:
        raise DataError(f"{path}: cannot be read: {error}", "run the participant level again") from error


def _read(path: Path, like: nib.Nifti1Image, box: tuple[slice, ...]) -> NDArray[np.float32]:
    """Return the voxels in a box of the turned image, which lies on the grid of `like`."""
    image = _open(path)
    if image.shape != like.shape or not np.allclose(image.affine, like.affine, atol=1e-3):
        raise DataError(f"{path}: not on the grid of its visit's brain mask", "run the participant level again")
    # A view would keep the whole image in memory; memory stays in the order in which the file lies there.
    return _turned(image, io_orientation(like.affine), path)[box].copy(order="K")


def _turned(image: nib.Nifti1Image, turn: NDArray[np.float64], path: Path) -> NDArray[np.float32]:
    """Return an image's voxels, axes to the right, to the front and up."""
    try:
        voxels = np.asarray(image.dataobj, np.float32)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}", "run the participant level again") from error
    return np.asarray(apply_orientation(voxels, turn))
