"""CT: whether values are Hounsfield units, the trap of those that are 1024 too high, and the table."""

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

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHIFT = 1024
# Where air and soft tissue lie when 1024 is added. Old scanners put air up to 200 above its place.
SHIFTED_AIR = (-200.0, 250.0)
SHIFTED_TISSUE = (1000.0, 1150.0)
TISSUE_SEARCH = (600.0, 1500.0)
BIN = 25.0
LEAST_SHARE = 0.05
# Skin, hair and a bandage are the head's.
SKIN_MM = 3.0


def as_hounsfield(path: Path, volume: Volume, *, remove_table: bool = False) -> Volume:
    """Return a CT in Hounsfield units, and say where 1024 had to be subtracted.

    Slope and intercept of the file were applied before. A file that stores HU + 1024 with an intercept of 0 has
    air near 0 and water near 1000, which no file in Hounsfield units has.

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
    data = volume.data
    if float(data.min()) > -200:
        if not _is_shifted(data):
            message = f"{path}: no value below {data.min():g}, but air has −1000 HU: these are no Hounsfield units"
            raise DataError(message, "convert the CT again, with its rescale slope and intercept")
        lowered = data.astype(np.float32) - SHIFT if data.dtype.kind == "f" else data.astype(np.int32) - SHIFT
        volume = replace(volume, data=lowered).saying(
            f"The file holds HU + {SHIFT} although its intercept says 0 (air near 0, water near 1000): {SHIFT} "
            "was subtracted from every voxel."
        )
        volume = replace(volume, sidecar={**volume.sidecar, "HounsfieldShift": -SHIFT})
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


def _is_shifted(data: NDArray[np.generic]) -> bool:
    """Return whether there is air near 0 and one large class where water and brain are 1024 too high."""
    values = np.asarray(data, np.float32).ravel()
    air = (values > SHIFTED_AIR[0]) & (values < SHIFTED_AIR[1])
    inside = values[(values > TISSUE_SEARCH[0]) & (values < TISSUE_SEARCH[1])]
    if air.mean() < LEAST_SHARE or inside.size < LEAST_SHARE * values.size:
        return False
    counts, edges = np.histogram(inside, bins=np.arange(TISSUE_SEARCH[0], TISSUE_SEARCH[1] + BIN, BIN))
    peak = float(edges[counts.argmax()]) + BIN / 2
    return SHIFTED_TISSUE[0] < peak < SHIFTED_TISSUE[1]
