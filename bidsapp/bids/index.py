"""Which files a raw dataset has, by pybids: looked up anew, or in an index that is kept in a folder."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp.errors import CannotCreateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bids import BIDSLayout

    from bidsapp.settings import Settings

log = logging.getLogger(__name__)

DATATYPES = ("anat", "ct")
DATABASE_FILE = "layout_index.sqlite"
ANYBODY = "[^/]+"


def layout_of(settings: Settings, participants: Sequence[str]) -> BIDSLayout:
    """Return what pybids knows of some participants, and, where it comes from a kept index, of others.

    Without an index only the folders ``anat/`` and ``ct/`` of these participants are read, and no metadata, so
    that the start of a run does not grow with the dataset.

    Parameters
    ----------
    settings : Settings
        The dataset, and where its index is kept, if it is. Where there is none yet, that of the whole dataset is
        made there, unless nothing is to be written.
    participants : sequence of str
        Labels without ``sub-``.

    Raises
    ------
    UsageError
        The index is of another dataset, or is none.
    CannotCreateError
        It cannot be written.
    """
    database = settings.bids_database_dir
    if database is None or (settings.dry_run and not (database / DATABASE_FILE).exists()):
        return _look(settings.bids_dir, "|".join(re.escape(label) for label in participants))
    if not (database / DATABASE_FILE).exists():
        _make(settings.bids_dir, database)
    return _load(settings.bids_dir, database)


def images_of(layout: BIDSLayout, participants: Iterable[str]) -> list[str]:
    """Return the images of these participants; one that is only in a kept index is left out, with a warning."""
    folders = {f"sub-{label}" for label in participants}
    found = []
    for file in layout.get(extension=[".nii", ".nii.gz"]):
        first, *others = Path(os.path.relpath(file.path, layout.root)).parts
        if first not in folders or not set(others[:-1]) & set(DATATYPES):
            continue
        if os.path.lexists(file.path):
            found.append(file.path)
        else:
            log.warning(
                "%s is in the index of --bids-database-dir only: remove that, it is out of date", file.path
            )
    return found


def _look(root: Path, labels: str, database: Path | None = None) -> BIDSLayout:
    """Index the participants whose labels match."""
    from bids import BIDSLayout, BIDSLayoutIndexer

    datatypes = "|".join(DATATYPES)
    ignore = [
        re.compile(rf"^/(?!sub-({labels})(/|$))"),
        re.compile(rf"^/sub-[^/]+/(?!ses-|({datatypes})(/|$))"),
        re.compile(rf"^/sub-[^/]+/ses-[^/]+/(?!({datatypes})(/|$))"),
    ]
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=ignore)
    return BIDSLayout(root, validate=False, indexer=indexer, database_path=database)


def _make(root: Path, database: Path) -> None:
    """Write the index of a whole dataset, whole or not at all; of several jobs that do, one is heard."""
    try:
        database.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".index-", dir=database) as part:
            _look(root, ANYBODY, Path(part))
            (Path(part) / DATABASE_FILE).replace(database / DATABASE_FILE)
    except OSError as error:
        hint = "give --bids-database-dir another folder"
        raise CannotCreateError(f"{database}: {error.strerror}", hint) from error


def _load(root: Path, database: Path) -> BIDSLayout:
    from bids import BIDSLayout
    from sqlalchemy.exc import SQLAlchemyError

    hint = "remove it, and it is made anew; a dataset in a container is to be mounted at the same place each time"
    try:
        layout = BIDSLayout(root, validate=False, database_path=database)
    except (SQLAlchemyError, ValueError, AttributeError) as error:
        reason = getattr(error, "orig", error)  # without the question that the database was asked
        raise UsageError(f"{database / DATABASE_FILE}: no index of {root}: {reason}", hint) from error
    if Path(layout.root) != root.absolute():
        raise UsageError(f"{database / DATABASE_FILE}: the index of {layout.root}, not of {root}", hint)
    return layout
