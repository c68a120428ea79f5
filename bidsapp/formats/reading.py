"""One door to all formats: a path in, one checked volume out, every failure a `DataError` with a reason."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from bidsapp.errors import DataError
from bidsapp.formats import analyze, dicom, metaimage, mgh, minc, nifti, nrrd, parrec
from bidsapp.formats.hounsfield import as_hounsfield
from bidsapp.formats.recognize import recognized
from bidsapp.formats.volume import CONVERT_AGAIN, ReadOptions, Volume, checked
from bidsapp.records import CT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What damaged files make nibabel, zlib, h5py and numpy raise.
UNREADABLE = (
    *(OSError, EOFError, ValueError, OverflowError, MemoryError, KeyError, IndexError, TypeError, AttributeError),
    *(AssertionError, zlib.error, ImageFileError, HeaderDataError, RuntimeError, NotImplementedError),
)
CHUNK = 1 << 20


@dataclass(frozen=True)
class Format:
    """How a format is read, and which files make up one image.

    Attributes
    ----------
    read : callable
        Path and options to a volume.
    files : callable
        Path to all files of the image.
    """

    read: Callable[[Path, ReadOptions], Volume]
    files: Callable[[Path], list[Path]]


def _alone(path: Path) -> list[Path]:
    return [path]


FORMATS = {
    "NIfTI": Format(nifti.read_nifti, nifti.files_of_nifti),
    "Analyze": Format(analyze.read_analyze, nifti.files_of_nifti),
    "MGH": Format(mgh.read_mgh, _alone),
    "MINC": Format(minc.read_minc, _alone),
    "PAR/REC": Format(parrec.read_parrec, parrec.files_of_parrec),
    "MetaImage": Format(metaimage.read_metaimage, metaimage.files_of_metaimage),
    "NRRD": Format(nrrd.read_nrrd, nrrd.files_of_nrrd),
    "DICOM": Format(dicom.read_dicom, lambda source: list(dicom.chosen_series(source).files)),
}


def format_of(source: Path) -> str:
    """Return the format of a source, a key of `FORMATS`; a folder is one of DICOM slices."""
    folder, series = dicom.split_source(source)
    if source.is_dir() or (series is not None and folder.is_dir()):
        return "DICOM"
    found = recognized(source)
    if found == "DICOM":
        raise DataError(f"{source}: one DICOM file", "give the folder of its series")
    return found


def read_volume(source: Path, options: ReadOptions, contrast: str = "") -> Volume:
    """Read an image of any format.

    Parameters
    ----------
    source : Path
        A file, or a folder of DICOM slices, with ``#SERIES`` behind it where it holds several series.
    options : ReadOptions
        What the file does not say.
    contrast : str
        Its BIDS suffix. A ``ct`` must come in Hounsfield units, or in some that are known to be shifted.

    Returns
    -------
    Volume

    Raises
    ------
    DataError
        It cannot be read or used; the message names the file and the reason.
    """
    found = format_of(source)
    try:
        volume = checked(source, FORMATS[found].read(source, options), options)
    except DataError:
        raise
    except UNREADABLE as error:
        what = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{source}: truncated or damaged {found}: {what}", CONVERT_AGAIN) from error
    if contrast == CT:
        return as_hounsfield(source, volume, remove_table=options.remove_table)
    return volume


def digest_of(source: Path) -> str:
    """Return the SHA-256 of a source: of its file, or of the sums of its files in their order."""
    files = FORMATS[format_of(source)].files(source)
    sums = [_digest(path) for path in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
