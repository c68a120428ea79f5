"""Philips PAR/REC."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.formats.limits import check_claim, check_stored
from bidsapp.formats.recognize import header_of
from bidsapp.formats.volume import ReadOptions, Volume, one_volume

if TYPE_CHECKING:
    from pathlib import Path

    from nibabel.parrec import PARRECHeader


def read_parrec(path: Path, options: ReadOptions) -> Volume:
    """Read a PAR/REC pair as the scanner's console shows it (``PV * RS + RI``).

    The PAR file names the patient; only numbers of the protocol are told.
    """
    from nibabel.parrec import PARRECArrayProxy, PARRECHeader

    header_file, voxels = files_of_parrec(path)
    # Names of people in it are in the scanner's encoding: any byte is a character of Latin-1, and no name is told.
    with header_file.open(encoding="latin-1") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = PARRECHeader.from_fileobj(file, permit_truncated=False, strict_sort=True)
    shape = tuple(int(n) for n in header.get_data_shape())
    index = one_volume(path, shape, options.volume)
    check_stored(path, check_claim(path, shape, header.get_data_dtype().itemsize), voxels.stat().st_size)
    data = np.asarray(PARRECArrayProxy(str(voxels), header, scaling="dv")[(slice(None),) * 3 + index])
    said = "Values are those that the scanner's console displays (PV × RS + RI of the PAR file)."
    return Volume(data, header.get_affine(), 1, (said,), _protocol(header, index))


def files_of_parrec(path: Path) -> list[Path]:
    """Return the PAR and the REC file."""
    header = header_of(path)
    for ending in (".REC", ".rec", ".Rec"):
        if header.with_suffix(ending).is_file():
            return [header, header.with_suffix(ending)]
    from bidsapp.errors import DataError

    raise DataError(f"{header}: its .REC file is missing", "the two belong together; fetch both")


def _protocol(header: PARRECHeader, index: tuple[int, ...]) -> dict[str, object]:
    """Return what BIDS asks of a volume's protocol (s, degrees, mm), but not what differs between its slices."""
    order = np.asarray(header.get_sorted_slice_indices())
    images = header.image_defs[order.reshape(-1, header.get_data_shape()[2])[index or 0]]
    fields = {
        "EchoTime": ("echo_time", 1000),
        "FlipAngle": ("image_flip_angle", 1),
        "InversionTime": ("Inversion delay", 1000),
        "SliceThickness": ("slice thickness", 1),
    }
    values = {"RepetitionTime": np.asarray(header.general_info.get("repetition_time", 0), float) / 1000}
    for name, (field, unit) in fields.items():
        if field in images.dtype.names:
            values[name] = np.asarray(images[field], float) / unit
    told = {name: np.unique(of) for name, of in values.items()}
    return {"Manufacturer": "Philips"} | {n: float(of[0]) for n, of in told.items() if of.size == 1 and of[0] > 0}
