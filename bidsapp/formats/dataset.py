"""The dataset that sources are converted into: root files, provenance, and what is already there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from bidsapp import __version__, text
from bidsapp.bids.lock import locked
from bidsapp.bids.sink import write_json, write_text, write_tsv
from bidsapp.errors import DataError, UsageError
from bidsapp.records import CT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from bidsapp.formats.mapping import Item

T = TypeVar("T")
PROVENANCE = "sourcedata/provenance.tsv"
# No root file: others may have made the dataset, and theirs may be missing, or be replaced by an editor.
LOCK = "sourcedata/provenance.lock"
COLUMNS = ("filename", "source", "sha256", "format", "options", "conversion", "software")
IGNORED = ("ct", "*_ct.*")
README = """# {name}

Made from other files by SynthPrep {version} (`synthprep-bidsify`). `sourcedata/provenance.tsv` says of every
image which file it was made from, with its SHA-256, and what was decided about it. It holds paths of the source
folder: look at it before you pass the dataset on. Sidecars hold a short list of protocol fields, and no names,
dates or identifiers. Faces were not removed.
"""


def check_root(root: Path, source: Path) -> None:
    """Check that a folder is a place for the dataset: new, empty, or a raw BIDS dataset that is added to.

    Raises
    ------
    UsageError
        It lies in the source folder, or is neither empty nor a raw dataset.
    DataError
        A file that is to be added to cannot be read: before anything is converted.
    """
    if root.resolve() == source.resolve() or source.resolve() in root.resolve().parents:
        raise UsageError(f"{root}: lies in the source folder", "give a folder elsewhere")
    description = root / "dataset_description.json"
    if description.is_file():
        _check_raw(description)
        read_table(root / "participants.tsv")
        _lines(root / ".bidsignore")
    elif (root / LOCK).is_file():
        return  # another job is about to write the description
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root}: exists, and is no BIDS dataset", "give a new folder, or a dataset to add to")


def begin_dataset(root: Path, name: str, licence: str) -> None:
    """Write description and README of a new dataset; one that is there stays as it is."""
    with locked(root, name=LOCK):
        description = root / "dataset_description.json"
        if description.is_file():
            return
        content = {
            "Name": name,
            "BIDSVersion": "1.10.0",
            "DatasetType": "raw",
            **({"License": licence} if licence else {}),
            "GeneratedBy": [{"Name": "synthprep-bidsify", "Version": __version__}],
        }
        write_text(README.format(name=name, version=__version__), root / "README.md")
        write_json(content, description)


def finish_dataset(root: Path, items: Iterable[Item]) -> None:
    """Write ``participants.tsv``, a row for everybody, and where there is a CT ``.bidsignore``.

    Rows and columns that are there stay, also those of people who have no folder yet.
    """
    items = list(items)
    with locked(root, name=LOCK):
        _add_participants(root, items)
        if any(item.contrast == CT for item in items):
            file = root / ".bidsignore"
            lines = _lines(file)
            write_text("\n".join([*lines, *(line for line in IGNORED if line not in lines)]) + "\n", file)


def _add_participants(root: Path, items: Iterable[Item]) -> None:
    table = root / "participants.tsv"
    known = {row["participant_id"]: row for row in read_table(table) if row.get("participant_id")}
    for item in items:
        if item.about:
            known.setdefault(f"sub-{item.participant}", {}).update(item.about)
    there = sorted({*known, *(folder.name for folder in root.glob("sub-*") if folder.is_dir())})
    columns = list(dict.fromkeys(["participant_id", *(name for row in known.values() for name in row)]))
    rows: list[Mapping[str, Any]] = [{**known.get(label, {}), "participant_id": label} for label in there]
    write_tsv(rows, table, columns)


def read_provenance(root: Path) -> dict[str, dict[str, str]]:
    """Return path of an image → its row, of a dataset's table; none where there is no table."""
    rows = [{**dict.fromkeys(COLUMNS, ""), **row} for row in read_table(root / PROVENANCE)]
    return {row["filename"]: row for row in rows if row["filename"]}


def add_provenance(root: Path, row: dict[str, str]) -> dict[str, dict[str, str]]:
    """Add the row of an image to the table, or replace it; return all rows, also those of other jobs."""
    with locked(root, name=LOCK):
        rows = read_provenance(root) | {row["filename"]: row}
        write_tsv([rows[name] for name in sorted(rows)], root / PROVENANCE, COLUMNS)
    return rows


def read_table(path: Path) -> Sequence[dict[str, str]]:
    """Return the rows of a BIDS table; none where there is no table."""
    return _read(path, text.read_table)


def _lines(path: Path) -> list[str]:
    return _read(path, lambda file: text.read_text(file).splitlines())


def _read(path: Path, read: Callable[[Path], list[T]]) -> list[T]:
    """Return what a file of the dataset holds; nothing where there is no file."""
    try:
        return read(path) if path.is_file() else []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path}: cannot be read: {why}", "mend it, or move it away") from error


def _check_raw(description: Path) -> None:
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{description}: no JSON: {error}", "mend it") from error
    if not isinstance(content, dict) or content.get("DatasetType", "raw") != "raw":
        raise UsageError(f"{description.parent}: is no raw dataset", "derivatives are made by synthprep")
