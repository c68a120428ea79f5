"""The header policy: which images can be used, what is repaired, and what is said about it."""

from __future__ import annotations

import hashlib
import logging
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from bidsapp.errors import DataError
from bidsapp.imaging.declared import LEAVE_OUT, check_declared, verify_checksum
from bidsapp.imaging.forms import chosen_affine, load_nifti, orthonormal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

MAX_VOXEL_MM = 8.0
MIN_FIELD_OF_VIEW_MM = 80.0
MAX_NONFINITE = 0.01
# What a damaged file makes nibabel, zlib and numpy raise.
UNREADABLE = (OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error)


@dataclass(frozen=True)
class CheckedImage:
    """An image that every later step can rely on.

    Attributes
    ----------
    image : Nifti1Image
        float32, three-dimensional, finite; qform and sform agree, directions are orthonormal.
    decisions : tuple of str
        What was repaired or is unsure, as sentences for the report.
    fingerprint : str
        SHA-256 of shape and float32 voxels as read: the identity of the scan, whatever its file is called.
    header : Mapping of str to str
        What the file's own header says, before any repair: name and value, for people to read.
    """

    image: nib.Nifti1Image
    decisions: tuple[str, ...]
    fingerprint: str
    header: Mapping[str, str] = field(default_factory=dict)


def check_image(path: Path, memory_gb: float | None = None) -> CheckedImage:
    """Read an image and apply the header policy.

    Parameters
    ----------
    path : Path
        A NIfTI file, or a symbolic link to one.
    memory_gb : float or None
        Memory that reading it may take; by default what this process was granted.

    Returns
    -------
    CheckedImage

    Raises
    ------
    DataError
        The image cannot be used; the message names the file, the reason and what to do.
    """
    source = _open(path, memory_gb)
    decisions: list[str] = []
    shape = _shape(path, source, decisions)
    affine, code = chosen_affine(path, source, decisions)
    affine = orthonormal(path, source, affine, decisions)
    _check_geometry(path, shape, affine)
    data = _voxels(path, source, shape, decisions)
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(affine, code)
    image.set_sform(affine, code)
    digest = hashlib.sha256(np.asarray(shape, "<i8").tobytes())
    digest.update(np.ascontiguousarray(data, "<f4").data)
    return CheckedImage(image, tuple(decisions), digest.hexdigest(), _header(source, affine))


def _header(image: nib.Nifti1Image, affine: NDArray[np.float64]) -> dict[str, str]:
    """Return what people ask a header for; the axes are those of the affine that is used."""
    header, slope, intercept = image.header, float(image.dataobj.slope), float(image.dataobj.inter)
    scaled = f", times {slope:.6g} plus {intercept:.6g}" if (slope, intercept) != (1, 0) else ""
    oblique = np.degrees(np.arccos(np.clip(np.abs(affine[:3, :3] / voxel_sizes(affine)).max(axis=0), 0, 1))).max()
    said = bytes(header["descrip"]).partition(b"\0")[0].decode("latin-1").strip()
    return {
        "Matrix": " × ".join(str(n) for n in image.shape),
        "Voxels, mm": " × ".join(f"{size:.3g}" for size in voxel_sizes(affine)),
        "Axes point to": "".join(nib.aff2axcodes(affine)),
        "Oblique by, degrees": f"{oblique:.1f}",
        "Stored as": image.get_data_dtype().name + scaled,
        "qform code": str(int(header["qform_code"])),
        "sform code": str(int(header["sform_code"])),
        **({"Description": "".join(c for c in said if c.isprintable())} if said else {}),
    }


def check_header(path: Path, memory_gb: float | None = None) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Apply the header policy without reading voxels: what is wrong inside a file is found by `check_image` alone.

    Parameters
    ----------
    path : Path
        A NIfTI file, or a symbolic link to one.
    memory_gb : float or None
        What its voxels may take, see `check_image`.

    Returns
    -------
    (int, int, int), ndarray of shape (4, 4)
        Number of voxels along each axis, and the affine.

    Raises
    ------
    DataError
        The image cannot be used.
    """
    source = _open(path, memory_gb, whole=False)
    shape = _shape(path, source, [])
    affine, _ = chosen_affine(path, source, [])
    affine = orthonormal(path, source, affine, [])
    _check_geometry(path, shape, affine)
    return shape, affine


def _open(path: Path, memory_gb: float | None, *, whole: bool = True) -> nib.Nifti1Image:
    if path.is_symlink() and not path.exists():
        raise DataError(f"{path}: content not fetched", f"run `datalad get {path}`")
    try:
        declared = check_declared(path, memory_gb)
        image = load_nifti(path)
        if whole and path.suffix == ".gz":
            verify_checksum(path, declared)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file", "check the dataset") from error
    except (*UNREADABLE, ImageFileError, HeaderDataError) as error:
        raise DataError(f"{path}: no readable NIfTI image: {error}", LEAVE_OUT) from error
    if not isinstance(image, nib.Nifti1Image):
        raise DataError(f"{path}: a {type(image).__name__}, not NIfTI", "convert it to NIfTI")
    return image


def _shape(path: Path, image: nib.Nifti1Image, decisions: list[str]) -> tuple[int, int, int]:
    """Return the three spatial dimensions; `DataError` where there are fewer, or several volumes."""
    dtype = image.get_data_dtype()
    if dtype.fields is not None:
        raise DataError(f"{path}: an RGB image", LEAVE_OUT)
    if np.issubdtype(dtype, np.complexfloating):
        raise DataError(f"{path}: a complex image", "give its magnitude")
    shape = image.shape
    if len(shape) > 3:
        if np.prod(shape[3:]) != 1:
            raise DataError(f"{path}: {int(np.prod(shape[3:]))} volumes where one is expected", LEAVE_OUT)
        decisions.append("The fourth axis, of one volume, was dropped.")
        shape = shape[:3]
    if len(shape) < 3 or min(shape) < 2:
        raise DataError(f"{path}: shape {shape} has fewer than three spatial dimensions", LEAVE_OUT)
    return int(shape[0]), int(shape[1]), int(shape[2])


def _check_geometry(path: Path, shape: tuple[int, ...], affine: NDArray[np.float64]) -> None:
    sizes = voxel_sizes(affine)
    extent = sizes * shape
    if sizes.max() > MAX_VOXEL_MM:
        raise DataError(
            f"{path}: voxels of {sizes.max():.1f} mm; at most {MAX_VOXEL_MM:g} mm are usable", LEAVE_OUT
        )
    if extent.min() < MIN_FIELD_OF_VIEW_MM:
        raise DataError(
            f"{path}: a field of view of {extent.min():.0f} mm; {MIN_FIELD_OF_VIEW_MM:g} mm are needed", LEAVE_OUT
        )


def _voxels(
    path: Path, image: nib.Nifti1Image, shape: tuple[int, int, int], decisions: list[str]
) -> NDArray[np.float32]:
    """Read the voxels through the header's scaling, as finite float32."""
    try:
        data = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    except UNREADABLE as error:
        raise DataError(f"{path}: truncated or damaged: {error}", "copy or fetch the file again") from error
    bad = ~np.isfinite(data)
    share = float(bad.mean())
    if share >= MAX_NONFINITE:
        raise DataError(f"{path}: {share:.0%} of the voxels are NaN or infinite", LEAVE_OUT)
    if share > 0:
        decisions.append(f"{int(bad.sum())} NaN or infinite voxels were set to 0.")
        data = np.where(bad, np.float32(0), data)
    if data.min() == data.max():
        raise DataError(f"{path}: constant image (every voxel is {data.min():g})", LEAVE_OUT)
    return data
