"""What a file is, by its first bytes and not by its name; where the two disagree, the file is refused."""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import TYPE_CHECKING

from bidsapp.errors import DataError, InputOutputError
from bidsapp.formats.limits import is_gzip

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 512
ENDINGS = {
    ".nii": ("NIfTI",),
    ".hdr": ("Analyze", "NIfTI"),
    ".img": ("Analyze", "NIfTI"),
    ".mgh": ("MGH",),
    ".mgz": ("MGH",),
    ".mnc": ("MINC",),
    ".par": ("PAR/REC",),
    ".rec": ("PAR/REC",),
    ".mha": ("MetaImage",),
    ".mhd": ("MetaImage",),
    ".nrrd": ("NRRD",),
    ".nhdr": ("NRRD",),
    ".dcm": ("DICOM",),
    ".ima": ("DICOM",),
}
# Files that lie among DICOM files and are no slices, though a DICOMDIR is DICOM.
BYSTANDERS = frozenset({"dicomdir", ".ds_store", "thumbs.db", "version", "lockfile"})
OTHER_ENDINGS = frozenset({".txt", ".json", ".xml", ".csv", ".tsv", ".pdf", ".md", ".html", ".jpg", ".png"})
HEADER_OF = {".img": ".hdr", ".rec": ".par"}
# Formats whose readers unpack what is called .gz and nothing else.
TRUSTS_ENDING = frozenset({"NIfTI", "Analyze"})
MAGIC = {"MINC": (b"CDF\x01", b"CDF\x02", b"\x89HDF\r\n\x1a\n"), "NRRD": (b"NRRD000",)}
# What people download instead of an image, and what to do.
STRANGERS = (
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"ustar", "a tar archive", "unpack it first"),
    (b"<!doctype html", "a web page", "the download failed: most often a login is needed"),
    (b"<html", "a web page", "the download failed: most often a login is needed"),
    (b"<?xml", "XML", "it is no image"),
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the content: `git lfs pull`"),
    (b"\x89PNG", "a PNG picture", "pictures have no millimetres: give the images they were made from"),
    (b"\xff\xd8\xff", "a JPEG picture", "pictures have no millimetres: give the images they were made from"),
    (b"BZh", "packed by bzip2", "unpack it first"),
    (b"\xfd7zXZ", "packed by xz", "unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
)


def unreadable(error: OSError) -> InputOutputError:
    """Return the error of a file or folder of the source that the system does not let us read."""
    return InputOutputError.of(error, "make it readable, or move it out of the source folder")


def named_format(path: Path) -> tuple[str, ...]:
    """Return what formats a file's name promises; none where it is no name of an image."""
    return ENDINGS.get(ending_of(path), ())


def is_bystander(path: Path) -> bool:
    """Return whether a file may lie among the slices of a DICOM folder and is none."""
    return path.name.lower() in BYSTANDERS or path.suffix.lower() in OTHER_ENDINGS


def ending_of(path: Path) -> str:
    """Return the ending of a name in small letters, without ``.gz``."""
    name = path.name.lower().removesuffix(".gz")
    return "." + name.rsplit(".", 1)[1] if "." in name else ""


def recognized(path: Path) -> str:
    """Return the format of a file: a key of the readers.

    Raises
    ------
    DataError
        It is no image, something that people get instead of one, or its name says another format.
    """
    if path.is_symlink() and not path.exists():
        raise DataError(f"{path}: content not fetched", f"run `datalad get {path}`")
    path = header_of(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file", "check the mapping and the source folder")
    head = _head(path)
    found = _format_of(head, path)
    promised = named_format(path)
    if found is None:
        for magic, what, hint in STRANGERS:
            if head.lstrip()[: len(magic)].lower() == magic.lower() or head[257 : 257 + len(magic)] == magic:
                raise DataError(f"{path}: {what}, not an image", hint)
        if b"annex/objects" in head:
            raise DataError(f"{path}: content not fetched", f"run `datalad get {path}`")
        known = promised[0] if promised else "format that is known here"
        raise DataError(f"{path}: {'empty' if not head else f'no {known}'}", "copy or fetch the file again")
    if promised and found not in promised:
        raise DataError(f"{path}: is {found}, but its name says {promised[0]}", "rename it to what it is")
    if found in TRUSTS_ENDING and is_gzip(path) != path.name.lower().endswith(".gz"):
        packed = "packed by gzip, but its name lacks" if is_gzip(path) else "not packed, but its name has"
        raise DataError(f"{path}: is {packed} .gz", "rename it to what it is")
    return found


def header_of(path: Path) -> Path:
    """Return the file that describes an image: the ``.hdr`` of an ``.img``, the ``.PAR`` of a ``.REC``."""
    ending = HEADER_OF.get(ending_of(path))
    if ending is None:
        return path
    gz = ".gz" if path.name.lower().endswith(".gz") else ""
    stem = path.name[: -len(ending) - len(gz)]
    names = [stem + case + packed for case in (ending, ending.upper()) for packed in (gz, "", ".gz")]
    for name in names:
        if path.with_name(name).is_file():
            return path.with_name(name)
    raise DataError(f"{path}: its {ending} file is missing", "the two belong together; fetch both")


def _head(path: Path) -> bytes:
    """Return the first bytes, unpacked where a file is packed."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head[:2] != b"\x1f\x8b":
        return head
    try:
        with gzip.open(path) as file:
            return file.read(HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged: {error}", "copy or fetch the file again") from error


def _format_of(head: bytes, path: Path) -> str | None:
    first = head[:4].ljust(4, b"\0")
    tests = {
        **{name: any(head.startswith(magic) for magic in magics) for name, magics in MAGIC.items()},
        "DICOM": head[128:132] == b"DICM",
        "NIfTI": head[344:348] in {b"n+1\0", b"ni1\0"} or head[4:8] in {b"n+2\0", b"ni2\0"},
        "PAR/REC": head.lstrip().startswith(b"#") and b"DATA DESCRIPTION FILE" in head,
        "MetaImage": b"=" in head and head.split(b"=")[0].strip() in {b"ObjectType", b"NDims", b"Comment"},
        "Analyze": len(head) >= 348 and 348 in struct.unpack("<i", first) + struct.unpack(">i", first),
        "MGH": head[:4] == b"\0\0\0\x01" and ending_of(path) in {".mgh", ".mgz"},
    }
    return next((name for name, passed in tests.items() if passed), None)
