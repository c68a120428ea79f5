"""CT: Hounsfield units, taking back the 1024 that some files are too high, and the table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bidsapp.errors import DataError
from bidsapp.formats.volume import Volume
from bidsapp.imaging.ct import AIR_HU, CLEAR_AIR_HU, head_mask
from bidsapp.imaging.hounsfield import SHIFT, SHIFTED_AIR, Units, units_of

if TYPE_CHECKING:
    from pathlib import Path

# Skin, hair and a bandage are the head's.
SKIN_MM = 3.0


def as_hounsfield(path: Path, volume: Volume, *, remove_table: bool = False) -> Volume:
    """Return a CT in Hounsfield units, and say where 1024 had to be subtracted.

    Slope and intercept of the file were applied before. A file that stores HU + 1024 with an intercept of 0 has
    air near 0 and water near 1000, which no file in Hounsfield units has. What pads it becomes air.

    Parameters
    ----------
    path : Path
        For messages.
    volume : Volume
        As read.
    remove_table : bool
        Whether what is denser than air and not at the head becomes air.

    Raises
    ------
    DataError
        There is no air at −1000, and it is not the known shift either.
    """
    units = units_of(volume.data)
    if units is Units.UNKNOWN:
        message = f"{path}: air has −1000 HU, and nothing here is near that: these are no Hounsfield units"
        raise DataError(message, "convert the CT again, with its rescale slope and intercept")
    if units is Units.SHIFTED:
        volume = _lowered(volume)
    if volume.data.dtype.kind in "iu":
        kind = np.iinfo(np.int16)
        volume = replace(volume, data=np.clip(volume.data, kind.min, kind.max).astype(np.int16))
    volume = replace(volume, sidecar={**volume.sidecar, "Units": "HU"})
    return without_table(volume) if remove_table else volume


def without_table(volume: Volume) -> Volume:
    """Set what is denser than −800 HU and over 3 mm away from the head, and its blurred edges, to −1024 HU."""
    image = nib.Nifti1Image(volume.data.astype(np.float32), volume.affine)
    outside = np.asarray(head_mask(image).dataobj) == 0
    away = ndimage.distance_transform_edt(outside, sampling=voxel_sizes(volume.affine)) > SKIN_MM
    # The blurred edges of a table are hardly denser than air, and would stay as its outline.
    table = ndimage.binary_dilation(away & (volume.data > CLEAR_AIR_HU), iterations=2) & away
    data = np.where(table, AIR_HU, volume.data).astype(volume.data.dtype)
    return replace(volume, data=data).saying(
        f"The table was removed: {int(table.sum())} voxels away from the head were set to {AIR_HU:g} HU."
    )


def _lowered(volume: Volume) -> Volume:
    """Return a CT that was stored 1024 too high as it should be, with air where it is padded."""
    data = volume.data
    padding = data < SHIFTED_AIR[0]
    lowered = data.astype(np.float32 if data.dtype.kind == "f" else np.int32) - SHIFT
    lowered[padding] = AIR_HU
    volume = replace(volume, data=lowered, sidecar={**volume.sidecar, "HounsfieldShift": -SHIFT}).saying(
        f"The file holds HU + {SHIFT} although its intercept says 0 (air near 0, water near 1000): {SHIFT} "
        "was subtracted from every voxel."
    )
    if not padding.any():
        return volume
    return volume.saying(
        f"{int(padding.sum())} voxels that lay below {SHIFTED_AIR[0]:g} are padding: they were set to "
        f"{AIR_HU:g} HU."
    )
