"""Figures inside a page, so that it is one file that shows all when it is moved or sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bidsapp.reports.records import Figure

# What an SVG may keep of itself in a URL within double quotes: all but line breaks, quotes, and what ends a URL.
SAFE = "!$'()*+,-./:;=?@_~&"
# Characters of a page for its figures. What is beyond is linked, so that a page opens on any computer.
MOST_CHARACTERS = 12_000_000
_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_BLANK = re.compile(r"\s+")


class Picture(NamedTuple):
    """An image for a page: its URL, and width and height in CSS pixels."""

    url: str
    width: int
    height: int


def picture(path: Path) -> Picture | None:
    """Return an SVG as a URL that holds all of it.

    Parameters
    ----------
    path : Path
        A figure of ours, drawn by `bidsapp.reports.canvas.save_svg`.

    Returns
    -------
    Picture or None
        ``None`` where there is no such file, or one that is no figure of ours.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    start, size = text.find("<svg"), _SIZE.search(text)
    if start < 0 or size is None:
        return None
    # The declaration before it names a DTD on the network, which nobody needs.
    url = "data:image/svg+xml;charset=utf-8," + quote(_BLANK.sub(" ", text[start:]), safe=SAFE)
    width, height = (round(float(edge) * 96 / 72) for edge in size.groups())
    return Picture(url, width, height)


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
        ``title``, ``caption``, ``path``, and ``data``, which is empty where there is no picture or the page would
        become too large.
    """
    left = MOST_CHARACTERS
    found = []
    for figure in figures:
        shown = picture(folder / figure.path)
        data = shown.url if shown and len(shown.url) <= left else ""
        left -= len(data)
        found.append({"title": figure.title, "caption": figure.caption, "path": figure.path, "data": data})
    return found
