"""What the group level adds to the page of a visit: its synthesized images."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from bidsapp.bids.sink import write_text
from bidsapp.reports.inline import picture
from bidsapp.reports.measures import MEASURES
from bidsapp.reports.pages import fill, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.reports.records import Figure

# Between these lines of a page stands what is said of synthesized images: at the top, and in a section.
ZONES = {
    "verdict.html": ("<!-- verdict -->\n", "<!-- end of the verdict -->\n"),
    "synthesized.html": ("<!-- synthesized -->\n", "<!-- end of what is synthesized -->\n"),
}
_ENTRY = re.compile(r"<!-- image (\S+) -->\n.*?<!-- end of the image -->\n", re.DOTALL)


@dataclass(frozen=True)
class Synthesized:
    """A synthesized image, for the page of its visit.

    Attributes
    ----------
    image : str
        POSIX path relative to the page.
    target : str
        Contrast that was predicted.
    made_by : str
        Which network, in a sentence.
    figure : Figure or None
        Beside the acquired image, where there is one, with error and uncertainty.
    label : str
        ``trust``, ``caution``, ``reject``; empty where it was not judged.
    reasons : sequence of str
        What is wrong.
    scores : mapping of str to float
        Check → score; above 1 is caution, above 2 reject.
    agreement, interval : mapping or None
        Measures against the acquired image.
    digits : int
        Decimals of errors.
    units : str
        Of errors.
    """

    image: str
    target: str
    made_by: str = ""
    figure: Figure | None = None
    label: str = ""
    reasons: Sequence[str] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    agreement: Mapping[str, float | None] | None = None
    interval: Mapping[str, float | None] | None = None
    digits: int = 3
    units: str = "normalized units"

    @property
    def measures(self) -> list[tuple[str, str, str]]:
        """Heading, value and which way is better, of every measure that there is."""
        found = {**(self.agreement or {}), **(self.interval or {})}
        return [
            (heading, show(found[name], self.digits if digits is None else digits), better)
            for name, heading, digits, better in MEASURES
            if found.get(name) is not None
        ]


def write_visit_synthesized(page: Path, about: Synthesized) -> None:
    """Put a synthesized image on its visit's page, in place of what was said of the same image before.

    Called again it changes nothing. The participant level writes the page anew without it, as it drops the verdict
    from the visit's table; the group level then adds it again.

    Parameters
    ----------
    page : Path
        The page; nothing is done where there is none, or one of an earlier version.
    about : Synthesized
        What to say.
    """
    text = before = page.read_text(encoding="utf-8") if page.is_file() else ""
    shown = picture(page.parent / about.figure.path) if about.figure else None
    for template, (start, end) in ZONES.items():
        head, opening, rest = text.partition(start)
        zone, closing, tail = rest.partition(end)
        if opening and closing:
            said = fill(template, about=about, picture=shown)
            text = head + opening + _with_entry(zone, about.image, said) + closing + tail
    if text != before:
        write_text(text, page)


def carry_over(before: str, page: Path) -> None:
    """Put what a page said of synthesized images on the page that replaced it.

    Parameters
    ----------
    before : str
        The page as it was; empty where there was none.
    page : Path
        The page that was written anew.
    """
    text = page.read_text(encoding="utf-8")
    for start, end in ZONES.values():
        zone = before.partition(start)[2].partition(end)[0]
        head, opening, rest = text.partition(start)
        _, closing, tail = rest.partition(end)
        if _ENTRY.search(zone) and opening and closing:
            text = head + opening + zone + closing + tail
    write_text(text, page)


def _with_entry(zone: str, image: str, said: str) -> str:
    """Return a zone with an image's entry in its place among those of other images."""
    entries = {found[1]: found[0] for found in _ENTRY.finditer(zone)}
    name = quote(image)
    entries[name] = f"<!-- image {name} -->\n{said}<!-- end of the image -->\n"
    return "".join(entries[name] for name in sorted(entries))
