"""NRRD (``.nrrd``, ``.nhdr``): a text header, an empty line, raw or gzip-packed voxels."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.errors import DataError
from bidsapp.formats.limits import SLACK, check_claim, inflate, raw_start
from bidsapp.formats.volume import CONVERT_AGAIN, ReadOptions, Volume, one_volume

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
# What the axes of a space point to, as factors that make them right, anterior, superior.
SPACES = {
    **dict.fromkeys(("left-posterior-superior", "LPS"), (-1, -1, 1)),
    **dict.fromkeys(("right-anterior-superior", "RAS"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "LAS"), (-1, 1, 1)),
}
HEADER_BYTES = 1 << 16
GZIP = 31


def read_nrrd(path: Path, options: ReadOptions) -> Volume:
    """Read an NRRD image; one whose header names no space is refused, for nobody knows where its left is."""
    header, offset = _header(path)
    if header.get("type") not in TYPES:
        raise DataError(f"{path}: voxels of type {header.get('type', 'unknown')}", CONVERT_AGAIN)
    little = header.get("endian", sys.byteorder) == "little"
    dtype = np.dtype(("<" if little else ">") + TYPES[header["type"]])
    shape = tuple(int(word) for word in header.get("sizes", "").split() if word.lstrip("-").isdigit())
    index = one_volume(path, shape, options.volume)
    affine = _affine(path, header, len(shape))
    claimed = check_claim(path, shape, dtype.itemsize)
    data = np.frombuffer(_content(path, header, offset, claimed), dtype).reshape(shape, order="F")
    return Volume(data[(slice(None),) * 3 + index], affine)


def _content(path: Path, header: Mapping[str, str], offset: int, claimed: int) -> bytes:
    """Return the bytes of the voxels: lines are skipped first, then bytes, of packed voxels after unpacking."""
    file = files_of_nrrd(path)[-1]
    lines, skip = (int(header.get(f"{unit} skip", header.get(f"{unit}skip", "0"))) for unit in ("line", "byte"))
    if lines < 0:
        raise DataError(f"{path}: line skip is {lines}", CONVERT_AGAIN)
    encoding = header.get("encoding", "raw").lower()
    with file.open("rb") as stream:
        stream.seek(offset if file == path else 0)
        for _ in range(lines):
            if not stream.readline():
                break
        begin = stream.tell()
        if encoding == "raw":
            stream.seek(raw_start(path, file, begin, skip, claimed))
            return stream.read(claimed)
        if encoding not in {"gzip", "gz"}:
            raise DataError(f"{path}: encoding {encoding}", "save it raw or packed by gzip")
        if not 0 <= skip <= SLACK:
            raise DataError(f"{path}: byte skip is {skip}, but its voxels are packed", CONVERT_AGAIN)
        return inflate(path, stream.read(), claimed + skip, GZIP)[skip:]


def files_of_nrrd(path: Path) -> list[Path]:
    """Return the header and, where it is another file, the one with the voxels."""
    header, _ = _header(path)
    name = header.get("data file", header.get("datafile"))
    if name is None:
        return [path]
    voxels = path.parent / name
    if name.upper().startswith("LIST") or "%" in name or voxels.resolve().parent != path.parent.resolve():
        raise DataError(f"{path}: its voxels lie in {name}", "convert it to one .nrrd file")
    if not voxels.is_file():
        raise DataError(f"{voxels}: missing, {path.name} has its voxels there", "fetch both files")
    return [path, voxels]


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Return the fields and where the voxels begin: after the first empty line, or the end of a ``.nhdr``."""
    with path.open("rb") as file:
        text = file.read(HEADER_BYTES)
    ends = [(text.find(mark), len(mark)) for mark in (b"\n\n", b"\r\n\r\n") if mark in text]
    end, width = min(ends, default=(len(text), 0))
    if not ends and len(text) == HEADER_BYTES:
        raise DataError(f"{path}: its header does not end", "copy or fetch the file again")
    fields: dict[str, str] = {}
    for line in text[:end].decode("latin-1").splitlines()[1:]:
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            fields[name.strip().lower()] = value.strip()
    return fields, end + width


def _affine(path: Path, header: Mapping[str, str], dimensions: int) -> NDArray[np.float64]:
    space = header.get("space", "")
    signs = SPACES.get(space.lower(), SPACES.get(space.upper()))
    if signs is None:
        hint = "nobody knows where its left is: save it with space and space directions"
        raise DataError(f"{path}: {f'space is {space}' if space else 'its header names no space'}", hint)
    vectors = [_vector(text) for text in re.findall(r"\([^)]*\)|none", header.get("space directions", ""))]
    origin = _vector(header.get("space origin", "(0,0,0)"))
    if len(vectors) != dimensions or any(v is None or len(v) != 3 for v in (*vectors[:3], origin)):
        said = header.get("space directions")
        raise DataError(f"{path}: space directions are {said!r} for {dimensions} axes", CONVERT_AGAIN)
    affine = np.eye(4)
    affine[:3, :3] = np.array(vectors[:3], float).T
    affine[:3, 3] = origin
    return np.diag([*signs, 1]) @ affine


def _vector(text: str) -> list[float] | None:
    """Return the numbers of ``(1,0,0)``; ``None`` for anything else."""
    try:
        return [float(word) for word in text.strip("() ").split(",")]
    except ValueError:
        return None
