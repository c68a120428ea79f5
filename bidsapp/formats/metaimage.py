"""MetaImage (``.mha``, ``.mhd``): a text header and raw or zlib-packed voxels, in ITK's coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bidsapp.errors import DataError
from bidsapp.formats.limits import check_claim, inflate, raw_start
from bidsapp.formats.volume import CONVERT_AGAIN, ReadOptions, Volume, one_volume
from bidsapp.imaging.itk import LPS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
HEADER_BYTES = 1 << 16
ZLIB, GZIP_OR_ZLIB = 15, 47


def read_metaimage(path: Path, options: ReadOptions) -> Volume:
    """Read a MetaImage; directions are the columns of its matrix, in left-posterior-superior millimetres."""
    header, offset = _header(path)
    dtype = _dtype(path, header)
    shape = tuple(int(n) for n in _numbers(path, header, "DimSize"))
    index = one_volume(path, shape, options.volume)
    claimed = check_claim(path, shape, dtype.itemsize)
    packed = _is_true(header.get("CompressedData", "False"))
    file = files_of_metaimage(path)[-1]
    skip = int(header.get("HeaderSize", "0"))
    begin = offset if file == path and skip <= 0 else 0  # HeaderSize counts from the beginning of the file
    if packed and skip < 0:
        raise DataError(f"{path}: HeaderSize is {skip}, but its voxels are packed", CONVERT_AGAIN)
    start = begin + skip if packed else raw_start(path, file, begin, skip, claimed)
    with file.open("rb") as stream:
        stream.seek(start)
        content = stream.read() if packed else stream.read(claimed)
    raw = inflate(path, content, claimed, GZIP_OR_ZLIB) if packed else content
    data = np.frombuffer(raw, dtype).reshape(shape, order="F")
    return Volume(data[(slice(None),) * 3 + index], _affine(path, header))


def files_of_metaimage(path: Path) -> list[Path]:
    """Return the header and, where it is another file, the one with the voxels."""
    header, _ = _header(path)
    name = header["ElementDataFile"]
    if name.upper() == "LOCAL":
        return [path]
    if name.upper() == "LIST" or "%" in name:
        raise DataError(f"{path}: its voxels are spread over many files", "convert it to one .mha file")
    voxels = path.parent / name
    if voxels.resolve().parent != path.parent.resolve():
        raise DataError(f"{path}: its voxels are to lie outside its folder, in {name}", CONVERT_AGAIN)
    if not voxels.is_file():
        raise DataError(f"{voxels}: missing, {path.name} has its voxels there", "fetch both files")
    return [path, voxels]


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Return the fields and where the voxels begin; ``ElementDataFile`` is the last by definition."""
    with path.open("rb") as file:
        text = file.read(HEADER_BYTES)
    fields: dict[str, str] = {}
    offset = 0
    while "ElementDataFile" not in fields:
        end = text.find(b"\n", offset)
        name, equals, value = text[offset:end].decode("latin-1").partition("=")
        if end < 0 or not equals:
            raise DataError(f"{path}: its header is truncated or damaged", "copy or fetch the file again")
        fields[name.strip()] = value.strip()
        offset = end + 1
    return fields, offset


def _dtype(path: Path, header: Mapping[str, str]) -> np.dtype[np.generic]:
    kind = header.get("ElementType", "")
    if kind not in TYPES or int(header.get("ElementNumberOfChannels", "1")) != 1:
        channels = header.get("ElementNumberOfChannels", "1")
        raise DataError(f"{path}: voxels of type {kind or 'unknown'} with {channels} channels", CONVERT_AGAIN)
    if not _is_true(header.get("BinaryData", "True")):
        raise DataError(f"{path}: its voxels are written as text", "save it as binary")
    big = header.get("BinaryDataByteOrderMSB", header.get("ElementByteOrderMSB", "False"))
    return np.dtype((">" if _is_true(big) else "<") + TYPES[kind])


def _affine(path: Path, header: Mapping[str, str]) -> NDArray[np.float64]:
    spacing = _numbers(path, header, "ElementSpacing", "ElementSize")[:3]
    origin = _numbers(path, header, "Offset", "Position", "Origin")[:3]
    matrix = _numbers(path, header, "TransformMatrix", "Rotation", "Orientation")
    rank = round(len(matrix) ** 0.5)
    directions = np.array(matrix).reshape(rank, rank)[:3, :3].T
    affine = np.eye(4)
    affine[:3, :3] = directions * np.abs(spacing)
    affine[:3, 3] = origin
    return LPS @ affine


def _numbers(path: Path, header: Mapping[str, str], *names: str) -> list[float]:
    """Return the numbers of the first field that is there; without it nobody knows where left is."""
    for name in names:
        if name in header:
            try:
                return [float(word) for word in header[name].split()]
            except ValueError as error:
                raise DataError(f"{path}: {name} is {header[name]!r}", CONVERT_AGAIN) from error
    raise DataError(f"{path}: its header has no {names[0]}", CONVERT_AGAIN)


def _is_true(word: str) -> bool:
    return word.strip().lower() in {"true", "1", "t", "y", "yes"}
