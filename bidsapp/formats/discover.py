"""What lies in a source folder: image files by their names, and folders of DICOM slices."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bidsapp.errors import AppError, UsageError
from bidsapp.formats.recognize import HEADER_OF, ending_of, is_bystander, named_format, unreadable

DICOM_PREAMBLE = 132
TWIN = "the same name lies beside it unpacked, and is taken"


@dataclass(frozen=True)
class Found:
    """A candidate.

    Attributes
    ----------
    path : Path
        The file, or the folder of DICOM slices.
    name : str
        Its POSIX path relative to the source folder.
    dicom : bool
        Whether it is a folder of DICOM slices.
    aside : str, AppError or None
        Why it is not to be used: a reason to leave it out, or what could not be read.
    """

    path: Path
    name: str
    dicom: bool
    aside: str | AppError | None = None


def discover(root: Path) -> list[Found]:
    """Return the images below a folder, sorted by name; a folder with DICOM slices is one candidate.

    Raises
    ------
    UsageError
        The folder does not exist or is a BIDS dataset already.
    """
    check_folder(root)
    if (root / "dataset_description.json").is_file():
        hint = f"nothing is to be converted: synthprep {root} OUTPUT_DIR participant"
        raise UsageError(f"{root}: is a BIDS dataset already", hint)
    found, errors = [], list[OSError]()
    for folder, folders, names in os.walk(root, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        if any(_is_dicom(here / name, errors) for name in names):
            found.append(Found(here, here.relative_to(root).as_posix(), dicom=True))
            folders.clear()  # slices below belong to it
            continue
        lower = {name.lower() for name in names}
        for name in sorted(names):
            path = here / name
            if named_format(path) and not name.startswith(".") and not _is_second(path):
                twin = name.lower().endswith(".gz") and name.lower().removesuffix(".gz") in lower
                found.append(
                    Found(path, path.relative_to(root).as_posix(), dicom=False, aside=TWIN if twin else None)
                )
    found += [_unread(Path(error.filename), root, error) for error in errors]
    return sorted(found, key=lambda one: one.name)


def check_folder(root: Path) -> None:
    """Refuse a source that is no folder.

    Raises
    ------
    UsageError
        It does not exist, or is a file.
    """
    if not root.is_dir():
        what = "a file, not a folder" if root.exists() else "no such folder"
        raise UsageError(f"{root}: {what}", "give the folder that the images lie in")


def _unread(path: Path, root: Path, error: OSError) -> Found:
    return Found(path, path.relative_to(root).as_posix(), dicom=False, aside=unreadable(error))


def _is_second(path: Path) -> bool:
    """Return whether a file has only the voxels of a header beside it, which is a candidate itself."""
    header = HEADER_OF.get(ending_of(path))
    if header is None:
        return False
    stem = path.name.lower().removesuffix(".gz")[: -len(ending_of(path))]
    return any(other.name.lower().removesuffix(".gz") == stem + header for other in path.parent.iterdir())


def _is_dicom(path: Path, errors: list[OSError]) -> bool:
    if named_format(path) not in {(), ("DICOM",)} or is_bystander(path):
        return False
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(DICOM_PREAMBLE)[128:] == b"DICM"
    except OSError as error:
        errors.append(error)
        return False
