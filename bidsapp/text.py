"""Text that somebody else wrote: tables, JSON and lists of any size, in any encoding. Standard library only."""

from __future__ import annotations

import codecs
import csv
import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# Bytes. A sidecar has some thousand, a table of ten thousand people two million.
LARGEST = 64_000_000
MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}


def read_text(path: Path, largest: int = LARGEST) -> str:
    r"""Return what a text file says, lines ended by ``\n`` whatever they end with.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a mark at its beginning, or UTF-16 with one.
    largest : int
        Bytes that it may have.

    Returns
    -------
    str

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is too large, no regular file, or in another encoding.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")  # a device or a pipe may have no end
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"it is larger than {largest / 1e6:g} MB")
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not in {encoding.upper()} (byte {error.start}); save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, largest: int = LARGEST) -> Any:
    """Return what a JSON file holds; as `read_text`, and `ValueError` where it is no JSON."""
    try:
        return json.loads(read_text(path, largest))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_table(path: Path, largest: int = LARGEST) -> list[dict[str, str]]:
    """Return the rows of a table with tabs and a heading, text for each column.

    A cell that a row lacks is missing from it, and what goes beyond the heading is left out.

    Raises
    ------
    OSError, ValueError
        As by `read_text`, and where it is no table.
    """
    rows = csv.DictReader(io.StringIO(read_text(path, largest)), delimiter="\t")
    try:
        return [{name: cell for name, cell in row.items() if name and isinstance(cell, str)} for row in rows]
    except csv.Error as error:
        raise ValueError(f"it is no table: {error}") from error
