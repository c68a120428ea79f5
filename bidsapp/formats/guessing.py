"""A guess at what files are, from their names and headers: for a person to read before it is used."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bidsapp.errors import AppError, NoInputError
from bidsapp.formats.mapping import Item, label_of, numbered
from bidsapp.formats.recipes import Sorted
from bidsapp.records import CT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bidsapp.formats.discover import Found

GADOLINIUM = {"ce": "gadolinium"}
# The first that matches counts: a T2-FLAIR is a FLAIR, and a T1 after contrast is told from one before.
WORDS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (r"flair|t2f|dark.?fluid", "FLAIR", {}),
    (r"t1(w|_|-)?(ce|c|gd|post|km|ks)\b|t1ce|t1gd", "T1w", GADOLINIUM),
    (r"t2[ _-]?(star|\*)|gre\b|hemo", "T2starw", {}),
    (r"t1|mp-?rage|mp2rage|spgr|bravo|tfe|3dt1", "T1w", {}),
    (r"t2", "T2w", {}),
    (r"(^|[^a-z])pd(w|[^a-z]|$)", "PDw", {}),
    (r"(^|[^a-z])ct([^a-z]|$)", CT, {}),
)
LEFT_OUT = re.compile(
    r"(^|[^a-z])(seg|mask|label|roi|scout|localizer|dwi|dti|adc|bold|fmri|asl|swi|trace|fieldmap)([^a-z]|$)", re.I
)
SESSION = re.compile(r"(?:^|[^a-z])(?:ses|session|visit|timepoint|tp|time)[-_ ]?([a-z0-9]+)", re.I)
SUBJECT = re.compile(r"(?:^|[^a-z])(?:sub|subject|patient|pat|case|p)[-_ ]?([a-z]*\d+[a-z0-9]*)", re.I)


def guess(found: Sequence[Found]) -> Sorted:
    """Guess contrast, participant and session of each candidate.

    The contrast is looked for in what a DICOM header calls the series, in the file's name, then in those of its
    folders. A participant is told by ``sub-``, ``patient`` or the like, or else by the folder below the source, or
    by how the file's name begins; an identifier in a header never becomes a label.

    Raises
    ------
    NoInputError
        Nothing has a contrast that could be told.
    """
    items: list[Item] = []
    left_out: dict[str, list[str]] = {}
    for candidate in found:
        made = _guessed_series(candidate) if candidate.dicom else [_guessed(candidate, "")]
        for item in made:
            if isinstance(item, Item):
                items.append(item)
            else:
                left_out.setdefault(item, []).append(candidate.name)
    if not items:
        hint = "write a mapping; or is this another folder than you thought?"
        raise NoInputError(f"no contrast could be told of any of {len(found)} images", hint)
    return Sorted(tuple(numbered(items)), left_out)


def _guessed_series(candidate: Found) -> list[Item | str]:
    """Guess every series of a DICOM folder by itself."""
    from bidsapp.formats.dicom import dicom_files, series_source
    from bidsapp.formats.series import series_of

    try:
        series = series_of(dicom_files(candidate.path))
    except AppError as error:
        return [error.message]
    made = []
    for one in series:
        item = _guessed(candidate, "ct" if one.modality == "CT" else one.description)
        if isinstance(item, Item) and len(series) > 1:
            item = replace(item, source=series_source(candidate.path, one.number, root=candidate.name == "."))
        made.append(item)
    return made


def _guessed(candidate: Found, described: str) -> Item | str:
    # The source folder itself has no name below itself: it may hold the slices of one head.
    parts = PurePosixPath(candidate.name).parts or (candidate.path.resolve().name,)
    stem = parts[-1].split(".")[0]
    if LEFT_OUT.search(stem) or LEFT_OUT.search(described):
        return "named like a mask, a map or another kind of series"
    for text in (described, stem, *reversed(parts[:-1])):
        for pattern, contrast, entities in WORDS:
            if re.search(pattern, text, re.I):
                session = next((m[1] for part in parts if (m := SESSION.search(part))), None)
                label = session and label_of(session)
                return Item(candidate.path, _participant(parts, stem), label or None, contrast, entities)
    return "its contrast could not be told"


def _participant(parts: Sequence[str], stem: str) -> str:
    for part in (*parts[:-1], stem):
        if match := SUBJECT.search(part):
            return label_of(match[1])
    if len(parts) > 1:
        return label_of(parts[0])
    return label_of(re.split(r"[_ -]", stem)[0])
