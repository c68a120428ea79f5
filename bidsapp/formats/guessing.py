"""A guess at what files are, from their names and headers: for a person to read before it is used."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bidsapp.errors import DataError
from bidsapp.formats.mapping import Item, label_of, numbered
from bidsapp.formats.sorting import Sorted
from bidsapp.records import CT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bidsapp.errors import AppError
    from bidsapp.formats.discover import Found

SEVERAL_PATIENTS = "slices of several patients: put those of each into a folder of their own"
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
    made = Sorted()
    for candidate in found:
        for one in _of(candidate):
            made.put(candidate.name, one)
    hint = "write a mapping; or is this another folder than you thought?"
    made.check_any(f"no contrast could be told of any of {len(found)} images", hint)
    made.items = numbered(made.items)
    return made


def _of(candidate: Found) -> Sequence[Item | str | AppError]:
    if candidate.aside:
        return [candidate.aside]
    return _guessed_series(candidate) if candidate.dicom else [_guessed(candidate, "")]


def _guessed_series(candidate: Found) -> Sequence[Item | str | AppError]:
    """Guess every series of a DICOM folder by itself."""
    from bidsapp.formats.dicom import dicom_files, series_source
    from bidsapp.formats.series import by_number, series_of

    try:
        series = series_of(dicom_files(candidate.path))
    except DataError as error:
        return [error]
    if len({patient for one in series for patient in one.patients}) > 1:
        return [SEVERAL_PATIENTS]
    numbers = by_number(series)
    made: list[Item | str] = []
    for one in series:
        if len(series) > 1 and one.number not in numbers:
            made.append(f"several series {one.number} in one folder: put each into a folder of its own")
            continue
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
