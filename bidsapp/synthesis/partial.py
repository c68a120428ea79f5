"""A folder that is filled under another name beside its goal, and gone where that fails."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def partial_folder(goal: Path) -> Iterator[Path]:
    """Make an empty folder that the block fills and renames to its goal; what a killed process left of it goes."""
    folder = goal.with_name(f".{goal.name}.partial")
    remove(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        remove(folder)
        raise


def remove(path: Path) -> None:
    """Remove a folder with all that is in it; of a link only the link. Nothing is done where there is none."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
