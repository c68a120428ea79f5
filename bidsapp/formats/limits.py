"""How much a file may claim: nothing is allocated that the file cannot fill or that no head needs."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from bidsapp.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

# 1 GB of float32: a head of 1024 × 512 × 512 voxels.
MAX_VOXELS = 1 << 28
# A volume of that size in eight bytes each, and a header.
MAX_BYTES = 8 * MAX_VOXELS + (1 << 20)
# No gzip stream packs better than about 1032 to 1.
MAX_RATIO = 1040
SLACK = 1 << 20
CHUNK = 1 << 20


def check_claim(path: Path, shape: Sequence[int], itemsize: int) -> int:
    """Return the bytes that a header claims for a volume.

    Parameters
    ----------
    path : Path
        For the message.
    shape : sequence of int
        Claimed shape, all axes.
    itemsize : int
        Bytes of a voxel.

    Raises
    ------
    DataError
        The shape is none, or no head is so large.
    """
    voxels = 1
    for length in shape:
        if int(length) < 1:
            raise DataError(f"{path}: a shape of {tuple(shape)}", "the header is damaged; fetch the file again")
        voxels *= int(length)
    if voxels > MAX_VOXELS:
        hint = "no head needs so many; the header is damaged, or the file is something else"
        raise DataError(f"{path}: claims {voxels} voxels, {MAX_VOXELS} are the limit", hint)
    return voxels * itemsize


def check_stored(path: Path, claimed: int, stored: int) -> None:
    """Raise `DataError` where a file has, or unpacks to at most, fewer bytes than its header claims."""
    if stored < claimed:
        message = f"{path}: truncated: {stored} bytes for {claimed} that its header claims"
        raise DataError(message, "copy or fetch the file again")


def raw_start(path: Path, voxels: Path, begin: int, skip: int, claimed: int) -> int:
    """Return where unpacked voxels begin; no byte of the file may be left unexplained.

    Parameters
    ----------
    path : Path
        For the message.
    voxels : Path
        The file that they lie in.
    begin : int
        Where its header ends; 0 where they have a file of their own.
    skip : int
        Bytes to pass over from there; −1, as MetaImage and NRRD say it: voxels are the last bytes of the file.
    claimed : int
        Bytes of the voxels.

    Raises
    ------
    DataError
        There are fewer bytes, or more: whatever they are, voxels would be taken from the wrong place.
    """
    size = voxels.stat().st_size
    start = size - claimed if skip == -1 else begin + skip
    if skip < -1:
        raise DataError(f"{path}: its header skips {skip} bytes", "the header is damaged; fetch the file again")
    check_stored(path, claimed, size - max(start, begin))
    if size - start > claimed:
        message = f"{path}: {size - start - claimed} bytes more than the {claimed} that its header claims"
        raise DataError(message, "nobody knows which are voxels: its header must say how many bytes to skip")
    return start


def stored_bytes(path: Path) -> int:
    """Return the most bytes that a file can unpack to."""
    size = path.stat().st_size
    return size * MAX_RATIO if is_gzip(path) else size


def is_gzip(path: Path) -> bool:
    """Return whether a file is packed by gzip, whatever its name says."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def check_gzip(path: Path, claimed: int) -> None:
    """Read a gzip file to its end, where its checksum is, in little memory.

    Raises
    ------
    DataError
        It is damaged, ends early, or goes on far beyond what its header claims (a bomb).
    """
    total = 0
    try:
        with gzip.open(path) as file:
            while chunk := file.read(CHUNK):
                total += len(chunk)
                if total > claimed + SLACK:
                    message = f"{path}: unpacks to more than {claimed} bytes, which is all that its header claims"
                    raise DataError(message, "the file is damaged or malicious; do not use it")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged: {error}", "copy or fetch the file again") from error
    check_stored(path, claimed, total)


def unpack(path: Path, goal: Path) -> Path:
    """Unpack a gzip file, at most `MAX_BYTES`; `DataError` where it is damaged or larger."""
    try:
        with gzip.open(path) as file, goal.open("wb") as out:
            _copy(path, file, out)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged: {error}", "copy or fetch the file again") from error
    return goal


def _copy(path: Path, file: BinaryIO | gzip.GzipFile, out: BinaryIO) -> None:
    left = MAX_BYTES
    while chunk := file.read(CHUNK):
        left -= len(chunk)
        if left < 0:
            raise DataError(f"{path}: unpacks to more than {MAX_BYTES} bytes", "the file is damaged or malicious")
        out.write(chunk)


def inflate(path: Path, packed: bytes, claimed: int, wbits: int) -> bytes:
    """Unpack exactly the bytes that a header claims.

    Parameters
    ----------
    path : Path
        For the message.
    packed : bytes
        A zlib or gzip stream.
    claimed : int
        How many bytes it must hold.
    wbits : int
        As in `zlib.decompressobj`: 15 for zlib, 31 for gzip.
    """
    stream = zlib.decompressobj(wbits)
    try:
        data = stream.decompress(packed, claimed)
        more = b"" if stream.eof else stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise DataError(f"{path}: truncated or damaged: {error}", "copy or fetch the file again") from error
    if len(data) < claimed or not stream.eof or more:
        what = "more" if more else "fewer"
        raise DataError(f"{path}: {what} bytes than the {claimed} that its header claims", "fetch the file again")
    return data
