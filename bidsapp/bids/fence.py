"""The output folder's fence: links are read through, and never written through to somewhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bidsapp.bids import names
from bidsapp.errors import CannotCreateError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bidsapp.records import Visit

# A file that is a link is replaced by a file; only a folder that is one would lead elsewhere.
SHARED = ("logs", "models")


def folders_of(visit: Visit) -> tuple[str, ...]:
    """Return the folders that both levels write a visit's files into, relative to the derivatives."""
    own = names.visit_dir(visit)
    return own, f"{own}/anat", f"sub-{visit.subject}/figures"


def check_fence(out: Path, folders: Iterable[str]) -> None:
    """Raise `CannotCreateError` where a folder of the derivatives is a link, or lies behind one, that leads out.

    Parameters
    ----------
    out : Path
        The derivatives; itself it may be a link.
    folders : iterable of str
        Relative to it; they need not be there.
    """
    home = out.resolve()
    for folder in folders:
        place = (out / folder).resolve()
        if not place.is_relative_to(home):
            raise CannotCreateError(
                f"{out / folder}: a link out of the output folder, to {place}; nothing is written through it",
                "put a folder in its place, or give another output folder",
            )
