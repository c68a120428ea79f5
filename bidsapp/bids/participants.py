"""The derivatives' ``participants.tsv``: everybody who is there, and the columns that folds are balanced by."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from bidsapp.bids.lock import locked
from bidsapp.bids.sink import write_json, write_tsv
from bidsapp.errors import DataError, UsageError
from bidsapp.text import read_table, read_text

if TYPE_CHECKING:
    from pathlib import Path

TABLE, SIDECAR = "participants.tsv", "participants.json"
IDENTIFIER = "participant_id"


def update_participants(out: Path, raw: Path | None = None, column: str | None = None) -> None:
    """Write ``participants.tsv``, a row for every ``sub-`` folder that is there.

    Only a column that was asked for is copied from the raw dataset: derivatives are shared more freely than what
    is known of people, with what ``participants.json`` says of it. Columns of earlier runs stay.

    Parameters
    ----------
    out : Path
        The derivatives.
    raw : Path or None
        The raw dataset.
    column : str or None
        What to copy from its ``participants.tsv``.
    """
    with locked(out):  # a participant whose folder is made later is listed by the job that makes it
        _write(out, raw, column)


def _write(out: Path, raw: Path | None, column: str | None) -> None:
    known = _read(out / TABLE)
    if raw is not None and column is not None:
        for participant, row in _read(raw / TABLE).items():
            known.setdefault(participant, {})[column] = row.get(column) or ""
    columns = list(dict.fromkeys([IDENTIFIER, *(name for row in known.values() for name in row)]))
    rows = [
        {**known.get(folder.name, {}), IDENTIFIER: folder.name}
        for folder in sorted(out.glob("sub-*"))
        if folder.is_dir()
    ]
    write_tsv(rows, out / TABLE, columns)
    if raw is not None and column is not None:
        known_columns = _described(out / SIDECAR)
        copied = {"Description": "Copied from participants.tsv of the raw dataset"}
        write_json({**known_columns, column: _described(raw / SIDECAR).get(column, copied)}, out / SIDECAR)


def column_of(dataset: Path, column: str) -> dict[str, str]:
    """Return participant → value of a column of a dataset's ``participants.tsv``.

    Raises
    ------
    UsageError
        There is no such column; names those that are there.
    DataError
        The table cannot be read.
    """
    rows = _read(dataset / TABLE)
    there = dict.fromkeys(name for row in rows.values() for name in row if name != IDENTIFIER)
    if column not in there:
        raise UsageError(
            f"{dataset / TABLE}: no column {column}; there is {', '.join(there) or 'none'}",
            "give --stratify one that is there, at the participant level, too: it carries the column along",
        )
    return {participant: row.get(column) or "n/a" for participant, row in rows.items()}


def _described(path: Path) -> dict[str, Any]:
    """Return what explains the columns of a table; nothing where there is no such file, or another one."""
    try:
        content = json.loads(read_text(path), parse_constant=_finite, parse_float=_finite)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _finite(number: str) -> float | None:
    """Return a number of a JSON file; ``None`` instead of NaN and the infinite, which no JSON of ours may hold."""
    value = float(number)
    return value if math.isfinite(value) else None


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Return participant → row; none where there is no table, and labels may lack their ``sub-``."""
    if not path.is_file():
        return {}
    try:
        return {
            f"sub-{row[IDENTIFIER].removeprefix('sub-')}": row for row in read_table(path) if row.get(IDENTIFIER)
        }
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}", "correct the table, or move it away") from error
