"""Which images of which visits are there to be cut into slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bidsapp.bids import names
from bidsapp.bids.raw import visit_of
from bidsapp.bids.scans import read_scans, scan_of
from bidsapp.errors import DataError, NoInputError
from bidsapp.records import Visit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.bids.scans import Row


@dataclass(frozen=True)
class PreparedVisit:
    """A visit of the derivatives.

    Attributes
    ----------
    label : str
        ``sub-01_ses-A``.
    images : Mapping of str to Path
        Contrast → image, in the order that was asked for.
    mask : Path
        Brain mask of its reference.
    """

    label: str
    images: Mapping[str, Path]
    mask: Path


def prepared_visits(
    derivatives: Path, contrasts: Sequence[str], kind: str
) -> tuple[list[PreparedVisit], dict[str, str]]:
    """Return the visits that have the first contrast, and why the others are left out.

    An image counts that the visit's ``scans.tsv`` lists and does not flag.
    """
    tables = sorted(derivatives.glob("sub-*/**/*_scans.tsv"))
    if not tables:
        raise NoInputError(f"{derivatives}: no sub-*_scans.tsv", "give the output folder of the participant level")
    visits: list[PreparedVisit] = []
    left_out: dict[str, str] = {}
    for table in tables:
        label = table.name.removesuffix("_scans.tsv")
        try:
            visit = _visit(derivatives, table, contrasts, kind)
        except DataError as error:
            left_out[label] = str(error)
            continue
        if isinstance(visit, str):
            left_out[label] = visit
        else:
            visits.append(visit)
    return visits, left_out


def _visit(derivatives: Path, table: Path, contrasts: Sequence[str], kind: str) -> PreparedVisit | str:
    there: dict[str, Path] = {}
    flagged: dict[str, str] = {}
    rows = read_scans(table)
    for row in rows:
        path = table.parent / row["filename"].replace("_desc-preproc_", f"_desc-{kind}_")
        if row["flags"] not in {"", "n/a"}:
            flagged[row["contrast"]] = row["flags"]
        elif path.is_file():
            there[row["contrast"]] = path
    if contrasts[0] not in there:
        return (
            f"its {contrasts[0]} is flagged: {flagged[contrasts[0]]}"
            if contrasts[0] in flagged
            else (f"no {contrasts[0]}")
        )
    images = {contrast: there[contrast] for contrast in contrasts if contrast in there}
    return PreparedVisit(table.name.removesuffix("_scans.tsv"), images, _mask(derivatives, table, rows))


def _mask(derivatives: Path, table: Path, rows: Sequence[Row]) -> Path:
    """Return the brain mask of the reference that a table lists: masks of an earlier one may lie beside it."""
    for row in rows:
        if "_space-" not in row["filename"]:
            visit = Visit(*visit_of(row["filename"]), ())
            scan = scan_of(row, derivatives, visit, row["contrast"])
            mask = derivatives / names.brain_mask(visit, scan, scan.contrast)
            if mask.is_file():
                return mask
    raise DataError(f"{table.parent}: no brain mask", "run the participant level again")
