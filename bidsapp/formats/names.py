"""What names of files and folders say of an image: its contrast, its session, and whose it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bidsapp.formats.mapping import label_of
from bidsapp.records import CT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NO_SCAN = "named like a mask, a map or another kind of series"
NO_CONTRAST = "its contrast could not be told"
T1_FLAIR = "a “T1 FLAIR” is a T1w whose fluid is dark, and no FLAIR: write a mapping"
POST = "“post” may mean a contrast agent or a later time: write a mapping"
ENHANCED = "a CT with a contrast agent, so its Hounsfield units are others: write a mapping, with ce"
GADOLINIUM = {"ce": "gadolinium"}
# A digit or a separator follows: `\b` does not see the end of a word before an underscore.
END = r"(?![a-z])"
# `patient1`, `visit2` and `ct1` end in t and a number: letters may stand before a contrast only where they are one
# of these words, or where its capital begins a word (`sT1W`). What else is run together is left out and said.
PLANE = r"ax(?:ial)?|sag(?:ittal)?|cor(?:onal)?|tra(?:ns(?:vers(?:e|al))?)?"
BEFORE = rf"(?:(?<![a-z])(?:{PLANE}|pre|(?<=\d)d)?|(?-i:(?<=[abd-z])(?=T)))"
T1, T2 = rf"{BEFORE}t1", rf"{BEFORE}t2"
T1W = rf"{T1}|mp-?rage|mp2rage|spgr|bravo|tfe"
AGENT = rf"(?:ce|gd|gad[a-z]*){END}"
NOT_BEFORE = r"(?<![a-z])(?<!pre[-_ ])(?<!no[-_ ])(?<!non[-_ ])(?<!without[-_ ])"
LATER = r"(?![-_ ]?(?:op|surg|treat|ther|chemo|rt))"
# The first that matches counts: a T2-FLAIR is a FLAIR, and a T1 after contrast is told from one before. Without a
# contrast it is the reason to leave the image out.
WORDS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    # A T1w whose fluid is dark; but not `FLAIR_to_T1`, `space-T1w_FLAIR` or `T1_T2_FLAIR`.
    (rf"^(?!.*{T2})(?!.*space[-_ ]*t1)(?:.*{T1}.*(?:flair|dark.?fluid)|.*flair[-_ ]*t1)", T1_FLAIR, {}),
    (r"flair|(?<![a-z0-9])t2f(?:lr)?(?![a-z0-9])|dark.?fluid", "FLAIR", {}),
    (rf"{T1}w?[-_ +]*(?:{AGENT}|k[ms]{END}|c(?![a-z0-9]))|(?<![a-z])(?:ce|gd)t1", "T1w", GADOLINIUM),
    (rf"(?:{T1W}).*?{NOT_BEFORE}(?:post{END}{LATER}|km{END}|\+ ?c{END})", "T1w", GADOLINIUM),
    (rf"^(?=.*(?:{T1W})).*(?:post[-_ ]?contrast{END}|{NOT_BEFORE}(?:post[-_ ]?)?{AGENT})", "T1w", GADOLINIUM),
    (rf"(?<![a-z])post(?:t1|{END}.*(?:{T1W}))", POST, {}),
    (rf"{T2}[ _-]?(star|\*)|gre\b|hemo", "T2starw", {}),
    (T1W, "T1w", {}),
    (T2, "T2w", {}),
    (r"(^|[^a-z])pd(w|[^a-z]|$)", "PDw", {}),
    (r"(^|[^a-z])ct([^a-z]|$)", CT, {}),
)
AGENT_IN_CT = re.compile(
    rf"{NOT_BEFORE}(?<!w/o[-_ ])(?<!wo[-_ ])(?:contrast|(?:post|ce|km|cta|ctp|cect){END}{LATER})"
    rf"|\+ ?c{END}|(?<![a-z])(?:c\+|(?:post[-_ ]?contrast|angio(?:gra[a-z]*)?|perfusion){END})",
    re.I,
)
BARE = re.compile(rf"(?:{T1W}|{T2}(?:f|[-_ ]?star)?|pd|ct|flair|post)w?[-_ +]*(?:ce|c|gd|km|post)?", re.I)
# `c1` and the like before a name are SPM's tissue maps.
LEFT_OUT = re.compile(
    rf"(?:mask|seg|segment|segmentation|parcellation|label|map|pve|pveseg)s?{END}|t1rho|^(?:mw|w|r)*c[1-6](?=[a-z])"
    r"|(^|[^a-z])(roi|scout|localizer|dwi|dti|adc|bold|fmri|asl|swi|trace)([^a-z]|$)",
    re.I,
)
LEFT_OUT_FOLDER = re.compile(
    r"(?:brain|head|lesion|tissue|tumou?r)?[-_ ]?(?:mask|seg|segmentation|parcellation|label|roi|map)s?", re.I
)
# Letters alone are a label only behind `ses-` and the like, and behind `sub-`: `visits` and `subject` are words.
SESSION = re.compile(
    r"(?:^|[^a-z])(?:(?:session|visit|ses)[-_ ]+([a-z0-9]+)"
    r"|(?:timepoint|session|visit|time|ses|tp)[-_ ]*(\d[a-z0-9]*))",
    re.I,
)
DATE = re.compile(r"(?<!\d)(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?=(?:\d{6})?(?!\d))")
# A bare `p` with one digit inside a name is most often the acceleration of a sequence (`t1_mprage_p2_iso`).
SUBJECT = re.compile(
    r"(?:^|[^a-z0-9])(?:sub-([a-z0-9]+)|(?:subject|patient|case|subj|sub|pat|pt)"
    r"(?:[-_ ]+([a-z]*\d[a-z0-9]*)|(\d[a-z0-9]*))|(?:^p|p(?=\d\d))(\d[a-z0-9]*))",
    re.I,
)


@dataclass(frozen=True)
class Person:
    """Whose an image seems to be.

    Attributes
    ----------
    label : str
        Of the participant; empty where no name has a letter or a digit.
    name : str
        What the label was made of. Two names with one label may be two people.
    place : tuple of str
        Repeated images of one place are runs; those of several places may be of several people.
    """

    label: str
    name: str
    place: tuple[str, ...]


def contrast_of(texts: Sequence[str]) -> tuple[str, Mapping[str, str]]:
    """Return contrast and entities that the first of some texts tells; where none does, the reason."""
    for text in texts:
        for pattern, contrast, entities in WORDS:
            if re.search(pattern, text, re.I):
                return contrast, entities
    return NO_CONTRAST, {}


def is_enhanced_ct(texts: Sequence[str]) -> bool:
    """Return whether what a CT is called speaks of a contrast agent."""
    return any(map(AGENT_IN_CT.search, texts))


def is_no_scan(folders: Sequence[str], texts: Sequence[str]) -> bool:
    """Return whether an image is called a mask, a map or the like, or lies in a folder of them."""
    return any(map(LEFT_OUT.search, texts)) or any(map(LEFT_OUT_FOLDER.fullmatch, folders))


def session_of(parts: Sequence[str]) -> str | None:
    """Return the session that the parts of a path name."""
    found = (match[1] or match[2] for part in parts for match in SESSION.finditer(part))
    return next((label for label in found if not _is_contrast(label)), None)


def dates_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the days that texts name, by their digits: ``20190304``."""
    return frozenset(re.sub(r"\D", "", match[0]) for text in texts for match in DATE.finditer(text))


def person_of(folders: Sequence[str], stem: str, source: str = "") -> Person:
    """Return whose an image is, by ``sub-``, ``patient`` or the like, else by a folder or how its name begins.

    Where none of these could be anybody's name, the source folder is that of one person: ``patient07/visit1/T1``.
    """
    for depth, part in enumerate((*folders, stem)):
        for match in SUBJECT.finditer(part):
            label = next(filter(None, match.groups()))
            if not _is_contrast(label):
                name = label_of(match[0]).lower()
                return Person(label, name, (*folders[:depth], name))
    # What names a session names nobody: `anna_visit1` is Anna's, and `visit1` is anybody's.
    *names, first = (SESSION.sub("", part).strip("_- ") for part in (*folders, stem))
    first = re.split(r"[_ -]", first)[0]
    begins = "" if _is_contrast(first) else first
    name = next((one for one in names if one and not _is_contrast(one)), begins)
    if not name and source:
        return person_of((source, *folders), stem)
    return Person(label_of(name), name, (*folders, begins))


def _is_contrast(word: str) -> bool:
    """Return whether a word names a contrast and nothing else: nobody is called ``T1w``."""
    return bool(BARE.fullmatch(word))
