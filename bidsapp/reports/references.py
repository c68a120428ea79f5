"""The works that a methods text cites: from keys such as ``[@n4]`` to names, lists and BibTeX.

``references.bib`` beside this file is the only place where a work is described. It is plain BibTeX with one field
a line, so that reading it needs no library.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CITATION = re.compile(r"\[(@[a-z0-9]+(?:; @[a-z0-9]+)*)\]")
_ENTRY = re.compile(r"^@(\w+)\{(\w+),\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (\w+) = \{(.*)\},?$", re.MULTILINE)
# TeX's accents as combining characters.
_ACCENTS = {"'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "u": "\u0306", "c": "\u0327"}
_ACCENT = re.compile(r"\{\\(['`^\"uc])(?:\{(\w)\}|(\w))\}")


@dataclass(frozen=True)
class Work:
    """A published work.

    Attributes
    ----------
    key : str
        What a text cites it by.
    bibtex : str
        Its BibTeX entry.
    fields : Mapping of str to str
        Fields of the entry, as people read them.
    """

    key: str
    bibtex: str
    fields: Mapping[str, str]

    @property
    def authors(self) -> tuple[str, ...]:
        """``Family, Given`` of each, or a group's name; ``others`` at the end where not all are listed."""
        return tuple(self.fields["author"].split(" and "))

    @property
    def short(self) -> str:
        """``Tustison et al. 2010``."""
        families = [author.partition(",")[0] for author in self.authors]
        if len(families) == 1:
            who = families[0]
        elif len(families) == 2 and families[1] != "others":
            who = " and ".join(families)
        else:
            who = f"{families[0]} et al."
        return f"{who} {self.fields['year']}" if "year" in self.fields else who

    @property
    def url(self) -> str:
        """Where it is."""
        if "doi" in self.fields:
            return f"https://doi.org/{self.fields['doi']}"
        return self.fields.get("url") or f"https://arxiv.org/abs/{self.fields['eprint']}"

    @property
    def full(self) -> str:
        """Authors, title, where it was published, and year, without the link."""
        listed = [author for author in self.authors if author != "others"]
        names = [_initials(author) for author in listed[:6]]
        et_al = len(listed) > len(names) or self.authors[-1] == "others"
        where = next(
            (self.fields[n] for n in ("journal", "booktitle", "publisher", "howpublished") if n in self.fields), ""
        )
        volume = self.fields.get("volume", "") + (f"({self.fields['number']})" if "number" in self.fields else "")
        pages = self.fields.get("pages", "").replace("--", "–")
        numbers = ":".join(part for part in (volume, pages) if part)
        where = f"{where} {numbers}".strip() or f"arXiv:{self.fields.get('eprint', '')}" * (
            "eprint" in self.fields
        )
        parts = [
            ", ".join(names) + (" et al" if et_al else ""),
            self.fields["title"],
            where,
            self.fields.get("year", ""),
        ]
        return ". ".join(part for part in parts if part) + "."


@cache
def works() -> Mapping[str, Work]:
    """Return key → work, of all that a text may cite."""
    text = files("bidsapp.reports").joinpath("references.bib").read_text(encoding="utf-8")
    found = {}
    for entry in _ENTRY.finditer(text):
        fields = {name: _plain(value) for name, value in _FIELD.findall(entry[3])}
        found[entry[2]] = Work(entry[2], entry[0], fields)
    return found


def cited(text: str) -> tuple[Work, ...]:
    """Return the works that a text cites, in the order in which it does; `KeyError` for one that is unknown."""
    keys = dict.fromkeys(key for group in CITATION.findall(text) for key in _keys(group))
    return tuple(works()[key] for key in keys)


def with_names(text: str) -> str:
    """Return a text with authors and years in place of keys: ``(Tustison et al. 2010)``."""
    return CITATION.sub(lambda match: f"({'; '.join(works()[key].short for key in _keys(match[1]))})", text)


def bibtex(found: Sequence[Work]) -> str:
    """Return a BibTeX file of works."""
    return "\n\n".join(work.bibtex for work in found) + "\n"


def _keys(group: str) -> list[str]:
    return [key.removeprefix("@") for key in group.split("; ")]


def _plain(value: str) -> str:
    """Return the value of a field as people read it: accents in place of TeX's, no braces."""
    accented = _ACCENT.sub(lambda m: unicodedata.normalize("NFC", (m[2] or m[3]) + _ACCENTS[m[1]]), value)
    return accented.replace("{", "").replace("}", "")


def _initials(author: str) -> str:
    """Return ``Tustison NJ`` of ``Tustison, Nicholas J.``; the name of a group as it is."""
    family, comma, given = author.partition(", ")
    return f"{family} {''.join(part[0] for part in re.split(r'[ -]', given))}" if comma else author
