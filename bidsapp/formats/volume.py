"""What every reader returns, and what is checked of it before it is written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.affines import voxel_sizes

from bidsapp.errors import DataError
from bidsapp.formats.limits import check_claim
from bidsapp.imaging.forms import MAX_SHEAR
from bidsapp.imaging.headers import MAX_NONFINITE, MAX_VOXEL_MM, MIN_FIELD_OF_VIEW_MM
from bidsapp.records import CT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

CONVERT_AGAIN = "leave this file out, or export it again from its source"
HANDEDNESS = ("radiological", "neurological")
PLANES = ("transverse", "coronal", "sagittal")
TILT = ("refuse", "resample")


@dataclass(frozen=True)
class ReadOptions:
    """What a person says of a source, because the file does not or because it is theirs to decide.

    Attributes
    ----------
    handedness : str or None
        Of Analyze: whether the first voxel of a row is the patient's right (``radiological``) or left.
    plane : str or None
        Of Analyze: the plane of its slices, where the header is not to be believed.
    volume : int or None
        Which of several volumes to take, from 0.
    tilt : str
        What is done with sheared axes, such as those of a tilted gantry: ``refuse`` or ``resample``.
    remove_table : bool
        Whether what is not head on a CT is set to air.
    """

    handedness: str | None = None
    plane: str | None = None
    volume: int | None = None
    tilt: str = "refuse"
    remove_table: bool = False

    def of(self, found: str, contrast: str) -> ReadOptions:
        """Return what of it matters for an image of this format and contrast."""
        analyze = found == "Analyze"
        return replace(
            self,
            handedness=self.handedness if analyze else None,
            plane=self.plane if analyze else None,
            remove_table=self.remove_table and contrast == CT,
        )

    @property
    def said(self) -> str:
        """What differs from the defaults, as the provenance table tells it."""
        words = [f"handedness={self.handedness}"] if self.handedness else []
        words += [f"plane={self.plane}"] if self.plane else []
        words += [f"volume={self.volume}"] if self.volume is not None else []
        words += [f"tilt={self.tilt}"] if self.tilt != "refuse" else []
        return " ".join([*words, *(["remove_table"] if self.remove_table else [])])


@dataclass(frozen=True)
class Volume:
    """One image as it was read.

    Attributes
    ----------
    data : ndarray, shape (X, Y, Z)
        Values with slope and intercept applied; integers where the source has integers.
    affine : ndarray, shape (4, 4)
        Voxel indices to RAS millimetres.
    code : int
        What the coordinates mean, as in NIfTI: 1 scanner, 2 aligned, 3 Talairach, 4 MNI.
    said : tuple of str
        What was decided or is unsure, as sentences for the sidecar.
    sidecar : Mapping
        Fields that the source knows and that may be told.
    straightened : bool
        Whether it was resampled onto straight axes.
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]
    code: int = 1
    said: tuple[str, ...] = ()
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    straightened: bool = False

    def saying(self, *sentences: str) -> Volume:
        """Return the same image with more said of it."""
        return replace(self, said=(*self.said, *sentences))


def one_volume(path: Path, shape: tuple[int, ...], wanted: int | None) -> tuple[int, ...]:
    """Return the index beyond the third axis of the volume to read.

    Raises
    ------
    DataError
        There are several and none is named, or the one that is named does not exist; or there are fewer than three
        axes.
    """
    if len(shape) < 3 or min(shape[:3], default=0) < 2:
        raise DataError(f"{path}: shape {shape} has fewer than three spatial dimensions", CONVERT_AGAIN)
    count = int(np.prod(shape[3:], dtype=np.int64))
    if count > 1 and wanted is None:
        hint = f"name one, 0 to {count - 1}, in the column volume of the mapping; or leave the file out"
        raise DataError(f"{path}: {count} volumes where one is expected", hint)
    if not 0 <= (wanted or 0) < count:
        raise DataError(f"{path}: no volume {wanted}", f"there are {count}, counted from 0")
    return tuple(int(i) for i in np.unravel_index(wanted or 0, shape[3:], order="F")) if shape[3:] else ()


def check_type(path: Path, dtype: np.dtype[Any]) -> None:
    """Raise `DataError` where voxels are no single real numbers: RGB, complex, text."""
    if dtype.fields is not None:
        raise DataError(f"{path}: an RGB image", "colours are no intensities: " + CONVERT_AGAIN)
    if np.issubdtype(dtype, np.complexfloating):
        raise DataError(f"{path}: a complex image", "give its magnitude")
    if not (np.issubdtype(dtype, np.number) or dtype.kind == "b"):
        raise DataError(f"{path}: voxels of type {dtype}", CONVERT_AGAIN)


def checked(path: Path, volume: Volume, options: ReadOptions) -> Volume:
    """Return an image that can be written: finite, not constant, on straight axes, in a plain type.

    Raises
    ------
    DataError
        It cannot be used; the message names the file and the reason.
    """
    check_claim(path, volume.data.shape, volume.data.dtype.itemsize)
    affine = np.asarray(volume.affine, np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise DataError(f"{path}: its affine is no affine (voxel sizes or directions are missing)", CONVERT_AGAIN)
    data, said = _finite(path, volume.data)
    if data.min() == data.max():
        raise DataError(f"{path}: constant image (every voxel is {data.min():g})", CONVERT_AGAIN)
    plain = _plain(data)
    if not np.isfinite(plain).all():
        message = f"{path}: values up to {np.abs(data).max():.0e}, which float32 cannot hold"
        raise DataError(message, "scale them down, or leave this file out")
    volume = replace(volume, data=plain, affine=affine).saying(*said)
    if shear_of(affine) > MAX_SHEAR:
        if options.tilt != "resample":
            hint = "give --tilt resample to interpolate it onto straight axes, or leave it out"
            message = (
                f"{path}: sheared axes (slices are not stacked at a right angle, {_lean(affine):.1f} degrees)"
            )
            raise DataError(message, hint)
        volume = straightened(volume)
    return volume.saying(*_unusable(volume))


def shear_of(affine: NDArray[np.float64]) -> float:
    """Return how far the axes are from a right angle: the largest cosine between two of them."""
    axes = affine[:3, :3] / voxel_sizes(affine)
    return float(np.abs(np.triu(axes.T @ axes, 1)).max())


def straightened(volume: Volume) -> Volume:
    """Resample an image onto a grid whose slices are stacked at right angles (linear interpolation).

    The first two axes stay, the third becomes their normal, and the grid is as long along the second axis as the
    slices have shifted against each other. Outside the slices is the lowest value that the image has.
    """
    from scipy import ndimage

    affine, shape = volume.affine, volume.data.shape
    sizes = voxel_sizes(affine)
    first, second = affine[:3, 0] / sizes[0], affine[:3, 1] / sizes[1]
    second = second - first * (first @ second)
    normal = np.cross(first, second)
    normal = normal * np.sign(float(normal @ affine[:3, 2]))
    axes = np.stack([first, second / np.linalg.norm(second), normal / np.linalg.norm(normal)], axis=1)
    spacing = np.array([sizes[0], sizes[1], abs(axes[:, 2] @ affine[:3, 2])])
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, -1)
    placed = (np.linalg.inv(axes) @ (affine[:3, :3] @ corners + affine[:3, 3:])) / spacing[:, None]
    lowest = placed.min(axis=1)
    size = np.round(placed.max(axis=1) - lowest).astype(int) + 1
    grid = np.eye(4)
    grid[:3, :3] = axes * spacing
    grid[:3, 3] = grid[:3, :3] @ lowest
    to_source = np.linalg.inv(affine) @ grid
    kind = np.float32 if np.issubdtype(volume.data.dtype, np.floating) else np.int32
    moved = ndimage.affine_transform(
        volume.data.astype(np.float32), to_source[:3, :3], to_source[:3, 3], tuple(size), order=1,
        mode="constant", cval=float(volume.data.min()),
    )  # fmt: skip
    data = np.rint(moved) if kind is np.int32 else moved
    leaned = _lean(affine)
    return replace(volume, data=_plain(data.astype(kind)), affine=grid, straightened=True).saying(
        f"The slices were tilted by {leaned:.1f} degrees (a gantry's tilt); they were resampled linearly onto "
        "straight axes, and what lies outside them has the image's lowest value."
    )


def _lean(affine: NDArray[np.float64]) -> float:
    """Return by how many degrees the third axis leans away from the normal of the other two."""
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    step = affine[:3, 2]
    cosine = float(abs(normal @ step) / (np.linalg.norm(normal) * np.linalg.norm(step)))
    return float(np.degrees(np.arccos(min(cosine, 1.0))))


def _finite(path: Path, data: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    if not np.issubdtype(data.dtype, np.floating):
        return data, ()
    bad = ~np.isfinite(data)
    share = float(bad.mean())
    if share >= MAX_NONFINITE:
        raise DataError(f"{path}: {share:.0%} of the voxels are NaN or infinite", CONVERT_AGAIN)
    if not share:
        return data, ()
    return np.where(bad, 0, data), (f"{int(bad.sum())} NaN or infinite voxels were set to 0.",)


def _plain(data: NDArray[Any]) -> NDArray[Any]:
    """Return voxels in a type that every reader of NIfTI knows: small integers as they are, the rest float32."""
    if data.dtype == bool:
        return data.astype(np.uint8)
    if np.issubdtype(data.dtype, np.floating):
        with np.errstate(over="ignore"):
            return data.astype(np.float32)
    for kind in (np.uint8, np.int16, np.uint16, np.int32):
        if data.dtype.newbyteorder("=") == kind or (
            data.dtype not in (np.uint8, np.int16, np.uint16)
            and np.iinfo(kind).min <= data.min()
            and data.max() <= np.iinfo(kind).max
        ):
            return data.astype(kind)
    return data.astype(np.float32)


def _unusable(volume: Volume) -> list[str]:
    """Say what the participant level will refuse although it can be converted."""
    sizes = voxel_sizes(volume.affine)
    extent = sizes * volume.data.shape
    said = []
    if sizes.max() > MAX_VOXEL_MM:
        said.append(f"Voxels of {sizes.max():.1f} mm: synthprep uses none above {MAX_VOXEL_MM:g} mm.")
    if extent.min() < MIN_FIELD_OF_VIEW_MM:
        said.append(f"A field of view of {extent.min():.0f} mm: synthprep needs {MIN_FIELD_OF_VIEW_MM:g} mm.")
    return said
