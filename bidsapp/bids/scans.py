"""The table of a visit's scans: an image that stands in it may be used, any other file may not.

Synthesized images stand in it with their verdict, and are no scans: only `write_verdict` sees them.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from bidsapp.bids import names
from bidsapp.bids.dataset import SCANS_COLUMNS
from bidsapp.bids.sink import write_tsv
from bidsapp.errors import DataError
from bidsapp.records import Scan
from bidsapp.text import read_json, read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bidsapp.records import Visit

# Grids that differ by no more are one: their affines are written with 32 bits.
SAME_MM = 1e-3
RUN_AGAIN = "run the participant level again"
FILE_NAME = re.compile(
    r"sub-[^_]+(?:_ses-[^_]+)?(?P<rest>(?:_[a-z]+-[^_]+)*)_desc-preproc_(?P<contrast>[^_.]+)\.nii\.gz"
)
SYNTHESIZED = "_desc-synth_"
COLUMNS = ["filename", *SCANS_COLUMNS]

Row = dict[str, str]


def read_scans(table: Path) -> list[Row]:
    """Return the rows of a visit's scans; `DataError` where the table is missing or damaged."""
    rows = [row for row in _read(table) if SYNTHESIZED not in (row.get("filename") or "")]
    for row in rows:
        lost = [name for name in ("filename", "contrast", "flags") if row.get(name) is None]
        if lost or not FILE_NAME.fullmatch(Path(row["filename"]).name):
            raise DataError(f"{table}: missing or damaged ({', '.join(lost) or row['filename']})", RUN_AGAIN)
    return rows


def _read(table: Path) -> list[Row]:
    try:
        return read_table(table)
    except (OSError, ValueError) as error:
        raise DataError(f"{table}: missing or damaged ({error})", RUN_AGAIN) from error


def listed_contrasts(derivatives: Path) -> set[str]:
    """Return the contrasts that any visit's table lists."""
    listed: set[str] = set()
    for table in derivatives.glob("sub-*/**/*_scans.tsv"):
        with suppress(DataError):  # one damaged table shall not hide the others
            listed |= {row["contrast"] for row in read_scans(table)}
    return listed


def write_scans(
    derivatives: Path,
    visit: Visit,
    rows: Sequence[Mapping[str, Any]],
    *,
    wanted: Iterable[str],
    reference: str,
) -> None:
    """Write a visit's table: what this run finished, and what earlier runs left that still holds.

    A row of an earlier run is kept if this run did not ask for its contrast, its image is there, and it lies on
    the same reference scan and on the grid that this run gave it. A scan that was asked for and did not finish is
    therefore listed no more, and neither is one that was aligned with another reference or lies on another grid;
    their files stay. The verdicts on synthesized images go: the group level looks at them anew.

    Parameters
    ----------
    derivatives : Path
        The derivative dataset.
    visit : Visit
        Whose table.
    rows : sequence of Mapping
        What this run finished.
    wanted : iterable of str
        Contrasts that this run asked for.
    reference : str
        Contrast of the reference.
    """
    table = derivatives / names.scans_table(visit)
    try:
        earlier = read_scans(table)
    except DataError:
        earlier = []
    asked, file = set(wanted), _reference_file(rows, reference)
    same = file is not None and file == _reference_file(earlier, reference)
    kept = [
        row
        for row in (on_reference(earlier, reference) if same else [])
        if row["contrast"] not in asked and _lies_on(table.parent / row["filename"], table.parent / str(file))
    ]
    if rows or table.exists():
        write_tsv([*rows, *kept], table, COLUMNS)


def _lies_on(image: Path, reference: Path) -> bool:
    """Return whether an image is there, is on the grid of the reference, and was aligned with that very scan.

    An image of an earlier version does not say which scan it was aligned with.
    """
    try:
        one, other = nib.load(image), nib.load(reference)
        said = [
            read_json(path.with_name(path.name.removesuffix(".nii.gz") + ".json")) for path in (image, reference)
        ]
        scan = said[0].get("ReferenceSHA256")
        same = scan is None or scan == said[1]["SourceSHA256"]
    except (OSError, ValueError, AttributeError, KeyError, ImageFileError):
        return False
    return same and one.shape == other.shape and np.allclose(one.affine, other.affine, rtol=0, atol=SAME_MM)


def write_verdict(derivatives: Path, visit: Visit, row: Mapping[str, Any]) -> None:
    """Add the row of a synthesized image to its visit's table, in place of an older one.

    Parameters
    ----------
    derivatives : Path
        The derivative dataset.
    visit : Visit
        Whose table; `DataError` where it is missing or damaged.
    row : Mapping
        ``filename``, ``contrast``, ``verdict`` and ``reasons``.
    """
    table = derivatives / names.scans_table(visit)
    others = [other for other in _read(table) if other.get("filename") != row["filename"]]
    write_tsv([*others, row], table, COLUMNS)


def verdicts(derivatives: Path, visit: Visit) -> list[tuple[str, str, str, list[str]]]:
    """Return of each synthesized image of a visit: path in the dataset, contrast, verdict and reasons."""
    table = derivatives / names.scans_table(visit)
    try:
        rows = [row for row in _read(table) if SYNTHESIZED in (row.get("filename") or "")]
    except DataError:
        return []
    said = [[reason for reason in row["reasons"].split("; ") if reason != "n/a"] for row in rows]
    folder = names.visit_dir(visit)
    return [
        (f"{folder}/{row['filename']}", row["contrast"], row["verdict"], why)
        for row, why in zip(rows, said, strict=True)
    ]


def on_reference(rows: Sequence[Row], reference: str) -> list[Row]:
    """Return the rows of the reference and of the scans that were aligned with it."""
    return [row for row in rows if _entities(row).get("space") == _space(row["contrast"], reference)]


def quality_of(row: Row) -> dict[str, float]:
    """Return the quality numbers of a row by their columns, without what is no number."""
    found = {}
    for column, text in row.items():
        with suppress(TypeError, ValueError):
            found[column] = float(text)
    return {column: value for column, value in found.items() if math.isfinite(value)}


def scan_of(row: Row, derivatives: Path, visit: Visit, reference: str) -> Scan:
    """Return the scan of a row of a visit, with its normalized image."""
    entities = {name: label for name, label in _entities(row).items() if name != "space"}
    scan = Scan(derivatives, row["contrast"], entities)
    return Scan(derivatives / names.normalized(visit, scan, reference), scan.contrast, entities)


def _reference_file(rows: Sequence[Mapping[str, Any]], reference: str) -> str | None:
    return next((row["filename"] for row in rows if row["contrast"] == reference), None)


def _space(contrast: str, reference: str) -> str | None:
    return None if contrast == reference else reference


def _entities(row: Row) -> dict[str, str]:
    match = FILE_NAME.fullmatch(Path(row["filename"]).name)
    rest = match["rest"] if match else ""
    return dict(part.split("-", 1) for part in rest.split("_") if part)


def all_rows(derivatives: Path) -> list[Row]:
    """Return the rows of every visit's table, synthesized images included, each with its ``visit``.

    A damaged table is passed over: what the level uses of its visit is said where it is read.
    """
    rows: list[Row] = []
    tables = (*derivatives.glob("sub-*/*_scans.tsv"), *derivatives.glob("sub-*/ses-*/*_scans.tsv"))
    for table in sorted(tables):
        visit = table.name.removesuffix("_scans.tsv")
        with suppress(DataError):
            rows += [{**row, "visit": visit} for row in _read(table) if row.get("filename")]
    return rows
