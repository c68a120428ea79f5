"""Where an image lies: which of the affines of a header is used, and what is repaired of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from bidsapp.errors import DataError
from bidsapp.imaging.declared import LEAVE_OUT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LEAST_MM3, FARTHEST_MM = 1e-12, 1e6
FORMS_DIFFER_MM = 0.1
# Scanners write directions with four to seven digits; more than this is a shear, not rounding.
MAX_SHEAR = 1e-2
# How far the squares of a quaternion's b, c and d may add up to more than 1: by rounding to 32 bits, and at all.
ROUNDED, MAX_EXCESS = 4 * float(np.finfo(np.float32).eps), 1e-5


class _Undecided:
    """A header whose image needs no valid form: which one is used `chosen_affine` decides."""

    def get_best_affine(self) -> NDArray[np.float64]:
        return np.asarray(self.get_base_affine())  # type: ignore[attr-defined]


class _Nifti1Header(_Undecided, nib.Nifti1Header):  # type: ignore[misc]
    pass


class _Nifti2Header(_Undecided, nib.Nifti2Header):  # type: ignore[misc]
    pass


class _Nifti1Image(nib.Nifti1Image):  # type: ignore[misc]
    header_class = _Nifti1Header


class _Nifti2Image(nib.Nifti2Image):  # type: ignore[misc]
    header_class = _Nifti2Header


def load_nifti(path: Path) -> nib.spatialimages.SpatialImage:
    """Load an image for `chosen_affine`; nibabel itself refuses a quaternion that is hardly longer than 1.

    Parameters
    ----------
    path : Path
        An image; one that is no NIfTI file is loaded as nibabel does.

    Returns
    -------
    SpatialImage
        Of a NIfTI file the affine is not to be used.
    """
    kinds = (_Nifti1Image, _Nifti2Image)
    return next((kind for kind in kinds if kind.path_maybe_image(path)[0]), nib).load(path)


def chosen_affine(path: Path, image: nib.Nifti1Image, decisions: list[str]) -> tuple[NDArray[np.float64], int]:
    """Choose between qform and sform.

    Parameters
    ----------
    path : Path
        For messages.
    image : Nifti1Image
        The image.
    decisions : list of str
        What was decided is added, as sentences.

    Returns
    -------
    affine : ndarray, shape (4, 4)
        As the header has it, a shear included.
    code : int
        Its NIfTI code.

    Raises
    ------
    DataError
        Neither form is usable.
    """
    header = image.header
    qform, qcode = _qform(header, decisions)
    sform, scode = header.get_sform(coded=True)
    sform = sform if scode > 0 and _has_volume(sform) else None
    if sform is None and qform is None:
        if qcode > 0 or scode > 0:
            raise DataError(f"{path}: neither qform nor sform is usable", LEAVE_OUT)
        base = np.asarray(header.get_base_affine())
        if not _has_volume(base):
            raise DataError(f"{path}: voxel sizes are missing", LEAVE_OUT)
        decisions.append("qform and sform codes are both 0: left and right are UNVERIFIED.")
        return base, 1
    if sform is not None and qform is not None:
        apart = _distance_mm(sform, qform, image.shape[:3])
        if apart > FORMS_DIFFER_MM:
            decisions.append(f"qform and sform differ by {apart:.1f} mm: the sform was used.")
        return sform, int(scode)
    if qform is not None:
        decisions.append("Only the qform is valid; it was copied to the sform.")
        return qform, qcode
    decisions.append("Only the sform is valid; it was copied to the qform.")
    return np.asarray(sform), int(scode)


def _qform(header: Any, decisions: list[str]) -> tuple[NDArray[np.float64] | None, int]:
    """Return the qform, ``None`` where its code is 0 or its quaternion is none."""
    code = int(header["qform_code"])
    excess = sum(float(header[name]) ** 2 for name in ("quatern_b", "quatern_c", "quatern_d")) - 1
    if code <= 0 or not excess <= MAX_EXCESS:  # NaN is not, either
        return None, max(code, 0)
    if excess > 0:
        # Of a rounded half turn the NIfTI library mends the length, as nibabel does below this threshold.
        header = header.copy()
        header.quaternion_threshold = 2 * MAX_EXCESS
        if excess > ROUNDED:
            decisions.append(f"The qform's quaternion was {excess / 2:.1g} longer than 1: it was shortened.")
    qform = header.get_qform()
    return (qform if _has_volume(qform) else None), code


def _has_volume(affine: NDArray[np.float64]) -> bool:
    """Return whether voxels span space: edges of hardly any length do not."""
    return bool(np.abs(affine).max() < FARTHEST_MM and abs(np.linalg.det(affine[:3, :3])) > LEAST_MM3)


def _distance_mm(a: NDArray[np.float64], b: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """Return how far two affines put the corners of an image apart, at most."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
    difference = (a - b)[:3, :3] @ corners + (a - b)[:3, 3:]
    return float(np.linalg.norm(difference, axis=0).max())


def orthonormal(
    path: Path, image: nib.Nifti1Image, affine: NDArray[np.float64], decisions: list[str]
) -> NDArray[np.float64]:
    """Replace directions by the nearest orthonormal ones (polar decomposition) about the image's centre.

    Parameters
    ----------
    path : Path
        For messages.
    image : Nifti1Image
        The image.
    affine : ndarray, shape (4, 4)
        Its affine.
    decisions : list of str
        What was repaired is added, as a sentence.

    Returns
    -------
    ndarray, shape (4, 4)
        The affine without shear.

    Raises
    ------
    DataError
        The shear is more than rounding.
    """
    sizes = voxel_sizes(affine)
    directions = affine[:3, :3] / sizes
    u, _, v = np.linalg.svd(directions)
    off = float(np.abs(u @ v - directions).max())
    if off > MAX_SHEAR:
        raise DataError(f"{path}: sheared axes (directions off by {off:.2g})", "resample it to a rectangular grid")
    repaired = np.eye(4)
    repaired[:3, :3] = (u @ v) * sizes
    middle = (np.array(image.shape[:3]) - 1) / 2
    repaired[:3, 3] = affine[:3, 3] + (affine - repaired)[:3, :3] @ middle
    if off > 1e-4:
        apart = _distance_mm(repaired, affine, image.shape[:3])
        decisions.append(f"Directions were made orthonormal, which moved the corners by up to {apart:.1g} mm.")
    return repaired
