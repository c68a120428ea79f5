"""Temporary files: locked by whoever writes them, so that those of a killed writer can be told and swept away.

A lock ends with its process, however that ended, and is seen from every container of a computer, where process
numbers are not. Between computers some file systems do not share locks; there a file's age has to tell, too.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import shutil
import socket
import tempfile
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)

TEMPORARY = re.compile(r"\..*\.[a-z0-9_]{8}\.(?P<computer>[0-9a-f]{8})\.part")
# Folders that are filled over some time, and then renamed.
PARTIAL = re.compile(r"\..+\.partial")
# Nobody writes a file, or fills such a folder, for as long.
OLD_SECONDS = 3600.0
# Nobody trains for as long.
ABANDONED_SECONDS = 7 * 24 * 3600.0
# The file whose lock tells that a folder's process is alive.
OWNER = "owner"
# File systems take names of 255 bytes; four bytes are the most that a character takes.
LONGEST_PREFIX = 48


@contextmanager
def temporary_for(goal: Path) -> Iterator[Path]:
    """Make an empty file beside its goal, locked while the block lasts, and gone where the block fails.

    Parameters
    ----------
    goal : Path
        What the block renames it to; its folder exists.

    Yields
    ------
    Path
        The temporary file. It is closed before it is renamed: some file systems say only then that they are full.
    """
    try:
        handle, temporary = _locked(goal)
    except OSError as error:
        raise _about(error, goal) from error
    try:
        yield temporary
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise _about(error, goal) from error
        raise
    finally:
        os.close(handle)


@contextmanager
def own_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder that no other process has, gone after the block; those that killed ones left go before.

    Parameters
    ----------
    parent : Path
        Where it is made.
    prefix : str
        How its name begins, and the names of no others.

    Yields
    ------
    Path
        The folder.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for folder in parent.glob(f"{prefix}*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
        handle, _ = _locked(Path(name, OWNER))
        try:
            yield Path(name)
        finally:
            os.close(handle)


def _is_abandoned(folder: Path) -> bool:
    """Return whether the process that had a folder is gone; where no lock tells, whether it is old."""
    try:
        for file in folder.glob(f".{OWNER}.*"):
            if file.name.endswith(f".{_computer()}.part"):
                with file.open("r+b") as handle:
                    if _lock_is_free(handle.fileno()):
                        return True
        return time.time() - folder.stat().st_mtime > ABANDONED_SECONDS
    except OSError:
        return False


def _about(error: OSError, goal: Path) -> OSError:
    """Return an error that names the file that was to be written, and not one that nobody has heard of."""
    return OSError(error.errno, error.strerror, str(goal))


def sweep(out: Path, participants: Iterable[str] = ()) -> list[Path]:
    """Remove what killed runs left half written in an output folder, and nothing of a run that is alive.

    Parameters
    ----------
    out : Path
        The derivatives.
    participants : iterable of str
        Labels of those whose folders are looked through; by default all. Root, logs and models always are.

    Returns
    -------
    list of Path
        What was removed.
    """
    of_people = [out / f"sub-{label}" for label in participants] or sorted(out.glob("sub-*"))
    found = [entry for entry in _entries(out) if TEMPORARY.fullmatch(entry.name)]
    for root in (out / "logs", out / "models", *of_people):
        if root.is_symlink():
            continue
        for folder, folders, files in os.walk(root):  # follows no links
            found += [Path(folder, name) for name in files if TEMPORARY.fullmatch(name) or PARTIAL.fullmatch(name)]
            found += [Path(folder, name) for name in folders if PARTIAL.fullmatch(name)]
            folders[:] = [name for name in folders if not PARTIAL.fullmatch(name)]
    removed = [path for path in found if (_swept_file(path) if path.is_file() else _swept_folder(path))]
    if removed:
        log.info("swept away what killed runs left half written: %s", ", ".join(map(str, removed)))
    return removed


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _locked(goal: Path) -> tuple[int, Path]:
    """Return handle and path of a new file; one that was swept away before it was locked is made again."""
    while True:
        prefix, suffix = f".{goal.name[:LONGEST_PREFIX]}.", f".{_computer()}.part"
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=goal.parent)
        with suppress(OSError):  # a file system without locks: age alone tells
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)


def _swept_file(path: Path) -> bool:
    """Remove a file that nobody writes any more, and return whether that was so."""
    match = TEMPORARY.fullmatch(path.name)
    here = match is not None and match["computer"] == _computer()
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        free = here and _lock_is_free(handle)
        if not free and time.time() - os.fstat(handle).st_mtime < OLD_SECONDS:
            return False
        path.unlink(missing_ok=True)  # under the lock: who waits for it sees that its file is gone
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _lock_is_free(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody has it, or there are no locks
        return False
    return True


def _swept_folder(path: Path) -> bool:
    """Remove a folder that nobody has put a file into for long; it holds files only."""
    try:
        files = list(path.iterdir())
        if time.time() - max(file.lstat().st_mtime for file in (path, *files)) < OLD_SECONDS:
            return False
        for file in files:
            file.unlink()
        path.rmdir()
    except OSError:
        return False
    return True


@cache
def _computer() -> str:
    """Return what tells this computer, since it was started, from others; all its containers have it in common."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        name = socket.gethostname()
    return hashlib.sha256(name.encode()).hexdigest()[:8]
