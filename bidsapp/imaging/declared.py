"""What a NIfTI file declares that it holds, before anything of that size is read."""

from __future__ import annotations

import gzip
import math
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bidsapp.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

# Reading as float32 holds the voxels as they are, what scaling makes of them (float64), and the result.
BYTES_BEYOND_STORED = 12
# What may stand between header and voxels: extensions, which are notes of scanners and converters.
MOST_EXTENSION_BYTES = 64_000_000
# Zeros shrink by deflate to a thousand and thirty-secondth, and nothing does to less.
DEFLATE_RATIO = 1032
CHUNK_BYTES = 1 << 22
LEAVE_OUT = "leave this scan out with --bids-filter-file, or convert it again from its source"


def check_declared(path: Path, memory_gb: float | None = None) -> int:
    """Return the bytes that an image declares to hold, header included; 0 where it is no single NIfTI file.

    Parameters
    ----------
    path : Path
        What else it may be is left to whoever reads it.
    memory_gb : float or None
        Memory that reading it may take; by default what this process was granted.

    Raises
    ------
    DataError
        It declares more than fits into the memory, or than a file of its size can hold.
    OSError
        It cannot be read.
    """
    header = _header(path)
    if header is None:
        return 0
    shape = [int(n) for n in header["dim"][1 : 1 + int(np.clip(header["dim"][0], 0, 7))]]
    voxels = math.prod(n for n in shape if n > 0)
    stored = voxels * max(1, int(header["bitpix"])) // 8
    offset = float(header["vox_offset"])
    if not 0 <= offset <= MOST_EXTENSION_BYTES:
        raise DataError(f"{path}: its voxels are said to begin at byte {offset:g}", LEAVE_OUT)
    needed = (stored + voxels * BYTES_BEYOND_STORED) / 1e9
    if memory_gb is None:
        from bidsapp.resources import granted

        memory_gb = granted().memory_gb
    size = "×".join(map(str, shape))
    if needed > memory_gb:
        raise DataError(
            f"{path}: declares {size} voxels, which take {needed:.3g} GB of memory, of {memory_gb:.3g} GB granted",
            "leave this scan out with --bids-filter-file, or give more with --mem",
        )
    on_disk = path.stat().st_size * (DEFLATE_RATIO if path.suffix == ".gz" else 1)
    if stored > on_disk:
        raise DataError(f"{path}: truncated: a file of its size cannot hold {size} voxels", LEAVE_OUT)
    return stored + int(offset)


def _header(path: Path) -> nib.Nifti1Header | None:
    """Return the header as it stands in the file, of either version and byte order; ``None`` where it is none."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        start = file.read(540)
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        size = kind.template_dtype.itemsize
        for order in "<>":
            if len(start) >= size and start[:4] == size.to_bytes(4, "little" if order == "<" else "big"):
                return kind(start[:size], endianness=order, check=False)
    return None


def verify_checksum(path: Path, declared: int) -> None:
    """Read a gzip file to its end, where its checksum is: nibabel stops before it, and takes damaged voxels."""
    read = 0
    with gzip.open(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            read += len(chunk)
            if read > 2 * declared + CHUNK_BYTES:
                raise DataError(f"{path}: goes on for more than twice what its header declares", LEAVE_OUT)
