"""Slices of a head, cut and turned the way a reader expects them.

Every image is first brought to its closest canonical orientation (axes to the right, front and top, no
interpolation), so that pictures of one head look alike however its file is stored. Pictures are shown in
neurological convention: the patient's left is at the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

if TYPE_CHECKING:
    from nibabel import Nifti1Image
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Plane:
    """A viewing plane of a canonically oriented image.

    Attributes
    ----------
    name : str
        ``axial``, ``coronal`` or ``sagittal``.
    normal, across, up : int
        Image axes: across the plane, from left to right in the picture, from bottom to top.
    left, right : str
        Letters of the picture's left and right edge.
    """

    name: str
    normal: int
    across: int
    up: int
    left: str
    right: str


AXIAL = Plane("axial", normal=2, across=0, up=1, left="L", right="R")
CORONAL = Plane("coronal", normal=1, across=0, up=2, left="L", right="R")
SAGITTAL = Plane("sagittal", normal=0, across=1, up=2, left="P", right="A")
PLANES = (AXIAL, CORONAL, SAGITTAL)


@dataclass(frozen=True)
class Head:
    """An image in canonical orientation.

    Attributes
    ----------
    voxels : ndarray, shape (X, Y, Z)
        Axes point to the right, front and top.
    spacing : tuple of float
        Distance of neighbouring voxels along each axis, mm.
    """

    voxels: NDArray[np.float32]
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Box:
    """A range of voxel indices along each axis, ends excluded."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def size(self, plane: Plane, spacing: tuple[float, float, float]) -> tuple[float, float]:
        """Return width and height of the box seen in a plane, mm."""
        width, height = ((self.stop[axis] - self.start[axis]) * spacing[axis] for axis in (plane.across, plane.up))
        return width, height


def canonical(image: Nifti1Image) -> Head:
    """Bring an image to its closest canonical orientation.

    Parameters
    ----------
    image : Nifti1Image
        Any orientation, oblique or not.

    Returns
    -------
    Head
        Its voxels, reordered but not interpolated.
    """
    turned = nib.as_closest_canonical(image)
    spacing = np.linalg.norm(turned.affine[:3, :3], axis=0)
    return Head(np.asarray(turned.dataobj, dtype=np.float32), tuple(float(s) for s in spacing))


def bounding_box(mask: NDArray[np.bool_], spacing: tuple[float, float, float], margin: float) -> Box:
    """Return the box around a mask with a margin, as far as the image reaches.

    Parameters
    ----------
    mask : ndarray of bool, shape (X, Y, Z)
        What must be seen.
    spacing : tuple of float
        Voxel size, mm.
    margin : float
        Room on every side, mm.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    start, stop = [], []
    for axis in range(3):
        filled = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not filled.size:
            raise ValueError("an empty mask has no bounding box")
        room = round(margin / spacing[axis])
        start.append(max(int(filled[0]) - room, 0))
        stop.append(min(int(filled[-1]) + 1 + room, mask.shape[axis]))
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def spread(mask: NDArray[np.bool_], plane: Plane, count: int) -> list[int]:
    """Choose slices that cut a mask into parts of equal volume.

    Parameters
    ----------
    mask : ndarray of bool, shape (X, Y, Z)
        Not empty.
    plane : Plane
        Viewing plane.
    count : int
        Slices wanted; fewer are returned where the mask has fewer.

    Returns
    -------
    list of int
        Increasing indices; each of these slices meets the mask.
    """
    area = mask.sum(axis=(plane.across, plane.up), dtype=np.int64)
    share = np.cumsum(area) / area.sum()
    # Half a part at both ends, so that one slice is the middle and none is at the very rim.
    wanted = (np.arange(count) + 0.5) / count
    return sorted({int(i) for i in np.searchsorted(share, wanted)})


def cut(voxels: NDArray[np.float32], plane: Plane, index: int, box: Box) -> NDArray[np.float32]:
    """Cut one slice out of a canonical image.

    Returns
    -------
    ndarray, shape (height, width)
        Bottom row first: show it with the origin below.
    """
    selection = [slice(a, b) for a, b in zip(box.start, box.stop, strict=True)]
    selection[plane.normal] = slice(index, index + 1)
    return voxels[tuple(selection)].squeeze(axis=plane.normal).T


def grey_window(voxels: NDArray[np.float32], mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the grey levels shown as black and white: the 0.5th and 99.5th percentile inside a mask."""
    low, high = np.percentile(voxels[mask], (0.5, 99.5))
    return float(low), float(max(high, low + np.finfo(np.float32).eps))
