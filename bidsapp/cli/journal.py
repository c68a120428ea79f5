"""The status of a run while it goes: on disk at its start, after every visit, and at its end."""

from __future__ import annotations

import datetime
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from bidsapp.errors import AppError, InputOutputError
from bidsapp.status import COLUMNS, RunStatus

if TYPE_CHECKING:
    from pathlib import Path

    from bidsapp.status import VisitStatus

log = logging.getLogger(__name__)

STATUS_FILE = "status.json"
TABLE_FILE = "status.tsv"


class Journal:
    """Keeps what became of each visit, and writes ``status.json`` and ``status.tsv``.

    A batch job that the system kills leaves no last line; these files then tell what was done and what was not.

    Parameters
    ----------
    folder : Path or None
        The folder of the run's logs; without one nothing is written.
    may_be_empty : bool
        The run is one of several parts: that it has nothing to do is no failure.
    """

    def __init__(self, folder: Path | None = None, *, may_be_empty: bool = False) -> None:
        self.folder = folder
        self.may_be_empty = may_be_empty
        self.level = ""
        self._visits: dict[tuple[str, str], VisitStatus] = {}

    def add(self, *statuses: VisitStatus) -> None:
        """Note what the level did with visits, or that it is to work on them."""
        for status in statuses:
            known = replace(status, level=status.level or self.level)
            self._visits[known.visit, known.level] = known
        try:
            self._write(RunStatus(tuple(self._visits.values()), ended=False))
        except OSError as error:  # no reason to end a run; the end is written, or is an error
            log.warning("%s: %s", error.filename or self.folder, error.strerror)

    def end(self, error: AppError | None) -> RunStatus:
        """Write the end of the run and return its status; that it cannot be written is part of it."""
        status = RunStatus(tuple(self._visits.values()), error, may_be_empty=self.may_be_empty)
        try:
            self._write(status)
        except OSError as raised:
            message = f"{raised.filename or self.folder}: {raised.strerror}"
            status = replace(status, error=error or InputOutputError(message, "make room"))
        return status

    def _write(self, status: RunStatus) -> None:
        if self.folder is None:
            return
        from bidsapp.bids.sink import write_text, write_tsv

        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        process = {"host": os.uname().nodename, "pid": os.getpid()}
        write_text(status.to_json(updated=now, process=process), self.folder / STATUS_FILE)
        write_tsv(status.rows(), self.folder / TABLE_FILE, COLUMNS)
