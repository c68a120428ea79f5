"""Which images of which visits are there to be cut into slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bidsapp.bids.scans import read_scans
from bidsapp.errors import DataError, NoInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


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
            visit = _visit(table, label, contrasts, kind)
        except DataError as error:
            left_out[label] = str(error)
            continue
        if isinstance(visit, str):
            left_out[label] = visit
        else:
            visits.append(visit)
    return visits, left_out


def _visit(table: Path, label: str, contrasts: Sequence[str], kind: str) -> PreparedVisit | str:
    there: dict[str, Path] = {}
    flagged: dict[str, str] = {}
    for row in read_scans(table):
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
    masks = [
        path for path in sorted(table.parent.glob("anat/*_desc-brain_mask.nii.gz")) if "_space-" not in path.name
    ]
    if not masks:
        raise DataError(f"{table.parent}: no brain mask", "run the participant level again")
    images = {contrast: there[contrast] for contrast in contrasts if contrast in there}
    return PreparedVisit(label, images, masks[0])
