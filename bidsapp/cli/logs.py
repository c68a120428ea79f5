"""Where messages go: ours to the console and the log file, those of libraries to the log file only."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEVELS_OF_VERBOSITY = (logging.WARNING, logging.INFO, logging.DEBUG)


class _ConsoleHandler(logging.Handler):
    """Writes to whatever standard error is at the time, so that lines stand above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        sys.stderr.write(f"{self.format(record)}\n")


class _FileHandler(logging.FileHandler):
    """Writes to the log file for as long as that can be: a full disk is said once, by what ends the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say nothing."""

    def close(self) -> None:
        """Close the file, whatever is left to write."""
        with suppress(OSError):
            super().close()


@contextmanager
def logging_to(file: Path | None, verbosity: int) -> Iterator[None]:
    """Set logging up for as long as the block lasts.

    Parameters
    ----------
    file : Path or None
        Gets everything that this program says, what libraries say from ``INFO`` up, and all warnings.
    verbosity : int
        The console shows warnings of this program; 1: information, 2: debugging.
    """
    ours, everything = logging.getLogger("bidsapp"), logging.getLogger()
    before = ours.handlers, ours.level, ours.propagate, everything.handlers, everything.level
    console = _ConsoleHandler(LEVELS_OF_VERBOSITY[min(verbosity, len(LEVELS_OF_VERBOSITY) - 1)])
    ours.handlers, everything.handlers = [console], [_file_handler(file)]
    ours.setLevel(logging.DEBUG)
    ours.propagate = True
    everything.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        logging.captureWarnings(capture=False)
        for handler in everything.handlers:
            handler.close()
        ours.handlers, level, ours.propagate, everything.handlers, root_level = before
        ours.setLevel(level)
        everything.setLevel(root_level)


def _file_handler(file: Path | None) -> logging.Handler:
    if file is None:
        return logging.NullHandler()
    handler = _FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler
