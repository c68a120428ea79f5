"""Figures inside a page, so that the page is one file."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bidsapp.reports.records import Figure

TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}
# Bytes of a page for its figures. What is beyond is linked, so that a page opens on any computer.
MOST_BYTES = 12_000_000


def inlined(figures: Sequence[Figure], folder: Path) -> list[dict[str, str]]:
    """Return figures with their content as a ``data:`` address.

    Parameters
    ----------
    figures : sequence of Figure
        In the order in which they are shown.
    folder : Path
        The page's; paths of figures are relative to it.

    Returns
    -------
    list of dict
        ``title``, ``caption``, ``path``, and ``data``, which is empty where there is no file or the page would
        become too large.
    """
    left = MOST_BYTES
    found = []
    for figure in figures:
        file = folder / figure.path
        data = ""
        if file.is_file() and file.stat().st_size * 4 / 3 <= left:
            content = base64.b64encode(file.read_bytes()).decode("ascii")
            data = f"data:{TYPES[file.suffix]};base64,{content}"
            left -= len(data)
        found.append({"title": figure.title, "caption": figure.caption, "path": figure.path, "data": data})
    return found
