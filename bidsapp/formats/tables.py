"""Tables that people write, by hand or by a spreadsheet: read by line, or refused by reason."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from bidsapp.errors import UsageError
from bidsapp.text import read_text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

SEPARATORS = {";": "semicolons", ",": "commas"}


def read_rows(
    table: Path, required: Sequence[str], optional: Collection[str] | None = None
) -> list[tuple[int, dict[str, str]]]:
    """Read a tab-separated table; what a spreadsheet leaves behind (empty rows, empty columns) is passed over.

    Parameters
    ----------
    table : Path
        UTF-8, or UTF-16 with its mark. Names of columns may have capitals.
    required : sequence of str
        Columns that it must have.
    optional : collection of str or None
        Columns that it may have besides; by default any.

    Returns
    -------
    list of (int, dict of str to str)
        Line and cells of each row.

    Raises
    ------
    UsageError
        It cannot be read; a column is missing, unknown or there twice; or a row has more cells than columns.
    """
    try:
        reader = csv.reader(io.StringIO(read_text(table)), delimiter="\t")
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (OSError, ValueError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{table}: cannot be read: {why}", "give a tab-separated table") from error
    (_, heading), *rows = [row for row in rows if any(row[1])] or [(0, [])]
    columns = [name.lower() for name in heading]
    _check_columns(table, columns, required, optional)
    result = []
    for number, cells in rows:
        if any(cell for k, cell in enumerate(cells) if not any(columns[k : k + 1])):
            raise UsageError(f"{table}, line {number}: more cells than columns", "look for a tab too many")
        filled = [*cells, *[""] * (len(columns) - len(cells))]
        result.append((number, {name: cell for name, cell in zip(columns, filled, strict=False) if name}))
    return result


def _check_columns(
    table: Path, columns: Sequence[str], required: Sequence[str], optional: Collection[str] | None
) -> None:
    named = [name for name in columns if name]
    lacking = [name for name in required if name not in named]
    if lacking and len(named) == 1:
        for mark, word in SEPARATORS.items():
            if mark in named[0]:
                raise UsageError(
                    f"{table}: columns are separated by {word}", "save it as text with tabs between them"
                )
    doubled = sorted({name for name in named if named.count(name) > 1})
    unknown = [] if optional is None else [name for name in named if name not in {*required, *optional}]
    hint = f"columns are {', '.join(required)}" + (f", and if needed {', '.join(optional)}" if optional else "")
    for what, names in (("no column", lacking), ("unknown column", unknown), ("two columns", doubled)):
        if names:
            raise UsageError(f"{table}: {what} {', '.join(names)}", hint)
