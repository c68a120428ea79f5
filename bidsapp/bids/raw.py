"""What the file names of a raw dataset say."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

from bidsapp.bids.names import ENTITY_ORDER, unplaced
from bidsapp.records import Scan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = logging.getLogger(__name__)

# BIDS allows letters and digits, and since 1.10 the plus sign; nothing that means something to a shell or a page.
LABEL = re.compile("[A-Za-z0-9+]+")


def named_images(root: Path, paths: Iterable[str]) -> list[str]:
    """Return the images whose names begin with participant and session of their folder, in order; warn of others.

    A stray ``localizer.nii.gz`` in somebody's folder must not end the run for everybody; nor are images of two
    sessions one visit because their names leave out the session.
    """
    named = []
    for path in sorted(paths, key=_place):
        folder, _, rest = os.path.relpath(path, root).partition(os.sep)
        session = rest.partition(os.sep)[0]
        begin = [folder, session] if session.startswith("ses-") else [folder]
        entities = entities_of(path)
        wrong = [key for key in ("sub", "ses") if not LABEL.fullmatch(entities.get(key, "0"))]
        if wrong:
            log.warning("%r is left out: its %s- is no label of letters and digits", path, wrong[0])
        elif begin == [f"{key}-{entities.get(key)}" for key in ("sub", "ses")][: len(begin)]:
            named.append(path)
        else:
            log.warning("%s is left out: its name does not begin with %s_", path, "_".join(begin))
    return named


def scan_of(root: Path, path: str, contrast: str, *, only: bool) -> Scan:
    """Return the record of an image; `only`: the visit has no other of its contrast."""
    entities = {key: value for key, value in entities_of(path).items() if key not in {"sub", "ses"}}
    return Scan(root / os.path.relpath(path, root), contrast, entities, only)


def complaint(scan: Scan) -> str:
    """Return why no derivative can be named after a scan; empty where one can."""
    wrong = [f"{key}-{label}" for key, label in scan.entities.items() if not LABEL.fullmatch(label)]
    if wrong:
        return f"{str(scan.path)!r}: {wrong[0]!r} is no label of letters and digits"
    unknown = unplaced(scan.entities)
    return f"{scan.path}: BIDS has no {' and no '.join(f'{key}-' for key in unknown)} in names" if unknown else ""


def visit_of(path: str) -> tuple[str, str | None]:
    """Return participant and session of a named image."""
    entities = entities_of(path)
    return entities["sub"], entities.get("ses")


def suffix_of(path: str) -> str:
    """Return what stands before the ending of a file name: the contrast of an image."""
    return _stem(path).rsplit("_", 1)[-1]


def entities_of(path: str) -> dict[str, str]:
    """Return the entities of a file name, short names as keys, in its order."""
    return dict(part.split("-", 1) for part in _stem(path).split("_")[:-1] if "-" in part)


def _place(path: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Return what puts images into order, entity by entity: without it first, then numbers, then words."""
    entities = entities_of(path)
    labels = [entities.get(key, "") for key in ("sub", "ses", *ENTITY_ORDER)]
    return [(bool(label) and not label.isdecimal(), _number(label), label) for label in labels], path


def _number(label: str) -> int:
    return int(label) if label.isdecimal() else -1


def _stem(path: str) -> str:
    return os.path.basename(path).split(".")[0]  # noqa: PTH119 - thousands of names; Path is slow
