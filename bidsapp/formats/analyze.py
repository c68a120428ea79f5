"""Analyze 7.5, which does not say which side is left: a person has to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bidsapp.errors import DataError
from bidsapp.formats.limits import check_claim, check_gzip, check_stored, is_gzip, stored_bytes
from bidsapp.formats.nifti import files_of_nifti
from bidsapp.formats.volume import HANDEDNESS, PLANES, ReadOptions, Volume, check_type, one_volume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Of the header's field `orient`: which axis of the head the first, second and third index follow, and its way.
# Mayo's table names planes only, so that left and right of its codes are the person's word, too.
STORED = {"transverse": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}


def read_analyze(path: Path, options: ReadOptions) -> Volume:
    """Read an Analyze pair, with the handedness that a person gave.

    Raises
    ------
    DataError
        No handedness was given, or the header's ``orient`` is none of the three unflipped planes.
    """
    header_file, voxels = files_of_nifti(path)
    image = nib.AnalyzeImage.from_filename(header_file)
    check_type(path, image.get_data_dtype())
    index = one_volume(path, image.shape, options.volume)
    if options.handedness is None:
        hint = "say it: --handedness, or a column of the mapping; a wrong guess would mirror the brain"
        message = f"{path}: Analyze does not say whether it is stored radiological or neurological"
        raise DataError(message, hint)
    claimed = check_claim(path, image.shape[:3], image.get_data_dtype().itemsize) * math.prod(image.shape[3:])
    check_stored(path, claimed, stored_bytes(voxels))
    if is_gzip(voxels):
        check_gzip(voxels, claimed)
    plane = options.plane or _plane(path, image)
    affine = _affine(path, image, plane, options.handedness)
    data = np.asarray(image.dataobj[(slice(None),) * 3 + index])
    factor, said = _factor(image)
    scaled = data if factor == 1 else data.astype(np.float32) * np.float32(factor)
    side = "right" if options.handedness == "radiological" else "left"
    stated = (
        f"Analyze does not say which side is left: {options.handedness} was stated, so that the first voxel of a"
    )
    return Volume(scaled, affine, 1, said).saying(
        f"{stated} left-right row is the patient's {side}; planes are {plane}, as "
        f"{'was stated' if options.plane else 'the header says'}."
    )


def _plane(path: Path, image: nib.AnalyzeImage) -> str:
    """Return the plane of the slices by the header's ``orient``."""
    orient = image.header.binaryblock[252]
    if orient >= len(PLANES):
        hint = "only unflipped planes are known; state it in the column plane, or convert it with what made it"
        raise DataError(f"{path}: the header's field orient is {orient}", hint)
    return PLANES[orient]


def _affine(path: Path, image: nib.AnalyzeImage, plane: str, handedness: str) -> NDArray[np.float64]:
    """Return the affine; 0 mm is at SPM's origin, or else in the middle."""
    for said, known in ((handedness, HANDEDNESS), (plane, PLANES)):
        if said not in known:
            raise DataError(f"{path}: {said!r} was stated", f"give {' or '.join(known)}")
    sizes = [float(size) for size in image.header["pixdim"][1:4]]
    directions = np.zeros((3, 3))
    for axis, of_head in enumerate(STORED[plane]):
        flip = -1 if of_head == 0 and handedness == "radiological" else 1
        directions[of_head, axis] = flip * abs(sizes[axis])
    affine = np.eye(4)
    affine[:3, :3] = directions
    affine[:3, 3] = -directions @ _origin(image)
    return affine


def _origin(image: nib.AnalyzeImage) -> NDArray[np.float64]:
    """Return the voxel at 0 mm: SPM writes it, counted from 1, where Analyze has a name; else the middle."""
    shape = np.array(image.shape[:3])
    written = np.frombuffer(image.header.binaryblock[253:259], image.header.endianness + "i2").astype(float)
    inside = bool(np.all((written >= 1) & (written <= shape)))
    return np.asarray(written - 1 if inside else (shape - 1) / 2)


def _factor(image: nib.AnalyzeImage) -> tuple[float, tuple[str, ...]]:
    """Return the factor that SPM stores where Analyze has an unused field."""
    factor = float(np.frombuffer(image.header.binaryblock[112:116], image.header.endianness + "f4")[0])
    if not np.isfinite(factor) or factor in {0.0, 1.0}:
        return 1.0, ()
    return factor, (f"Values were multiplied by {factor:g}, the scale factor that SPM writes into Analyze.",)
