"""What a step that writes derivatives leaves in its work folder: what it wrote, and what the report is to say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bidsapp.bids.sink import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

RECORD_FILE = "record.json"


def write_record(folder: Path, out: Path, outputs: Sequence[str], content: Mapping[str, Any]) -> dict[str, Any]:
    """Write the record of a step and return the step's output.

    Parameters
    ----------
    folder : Path
        The step's work folder.
    out : Path
        The derivatives.
    outputs : sequence of str
        What was written there, relative to it.
    content : Mapping
        What else the report needs.
    """
    record = {**content, "outputs": list(outputs), "stamps": [_stamp(out / path) for path in outputs]}
    return {"record": str(write_json(record, folder / RECORD_FILE))}


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record that a finished step left in its folder."""
    record: dict[str, Any] = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    return record


def is_complete(folder: Path, out: Path) -> bool:
    """Return whether all that a step wrote is still there as it left it.

    Another run with other options may have written into the same derivatives, or somebody deleted a file.
    """
    try:
        record = read_record(folder)
        return bool(record["stamps"] == [_stamp(out / path) for path in record["outputs"]])
    except (OSError, ValueError, KeyError):  # never written, or by an earlier version
        return False


def _stamp(file: Path) -> list[int]:
    """Return size and time of modification; nothing where there is no file."""
    try:
        status = file.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
