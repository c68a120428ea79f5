"""One job at a time: for the files of a dataset that every job reads, adds to and writes again."""

from __future__ import annotations

import fcntl
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bidsapp.bids.sink import put_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

# A file that is never replaced, so that all jobs lock the same one, and that every derivative dataset has.
NAME = ".bidsignore"
# Seconds. A job holds the lock for milliseconds; who still holds it then was suspended.
PATIENCE = 60.0


@contextmanager
def locked(derivatives: Path, patience: float = PATIENCE, *, name: str = NAME) -> Iterator[None]:
    """Keep other jobs from the shared files for as long as the block lasts.

    Without the lock, of two jobs that read a table at once the later one would write it without the row of the
    other. Where a file system has no locks, or somebody does not let go, the block is entered all the same: files
    are renamed into place and never torn, and the group level lists every participant again.

    Parameters
    ----------
    derivatives : Path
        The derivative dataset, or another folder.
    patience : float
        Seconds to wait for the others.
    name : str
        A file in the folder that is never replaced, unless it is a link; an empty one is made where there is none.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    path = derivatives / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():  # to a file that DataLad keeps read-only, or to somebody else's
        put_bytes(path.read_bytes() if path.is_file() else b"", path)
    with path.open("a", encoding="ascii") as file:
        _wait(file.fileno(), path, patience)
        yield  # closing the file lets go, and so does the end of the process, however it ends


def _wait(handle: int, path: Path, patience: float) -> None:
    last = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > last:
                log.warning("%s: held by another job for over %.0f s; going on without", path, patience)
                return
            time.sleep(0.02)
        except OSError as error:
            log.info("%s: no locks on this file system (%s); going on without", path, error.strerror)
            return
        else:
            return
