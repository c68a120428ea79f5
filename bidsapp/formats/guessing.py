"""A guess at what files are, from their names and headers: for a person to read before it is used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from bidsapp.errors import DataError, InputOutputError
from bidsapp.formats.mapping import CONTRASTS, Item, numbered
from bidsapp.formats.names import (
    ENHANCED,
    NO_SCAN,
    Person,
    contrast_of,
    dates_of,
    is_enhanced_ct,
    is_no_scan,
    person_of,
    session_of,
)
from bidsapp.formats.recognize import unreadable
from bidsapp.formats.sorting import SHOWN, Sorted
from bidsapp.records import CT

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from bidsapp.errors import AppError
    from bidsapp.formats.discover import Found

SEVERAL_PATIENTS = "slices of several patients: put those of each into a folder of their own"
NO_PLACE = "a series that does not say where its slices lie, such as a dose report or a screenshot: no volume"
ONE_SLICE = "a series of one slice, such as a topogram: no volume"
NO_LABEL = "nothing in its name could be the label of a participant: write a mapping"


@dataclass(frozen=True)
class _Guess:
    """An item, whose it seems to be, and what no label is made of: whose its headers say it is, and its dates."""

    item: Item
    name: str
    person: Person
    patients: frozenset[str] = frozenset()
    dates: frozenset[str] = frozenset()


def guess(found: Sequence[Found]) -> Sorted:
    """Guess contrast, participant and session of each candidate.

    The contrast is looked for in what a DICOM header calls the series, in the file's name, then in those of its
    folders. A participant is told by ``sub-``, ``patient`` or the like, or else by the folder below the source, by
    how the file's name begins, or by the source's own name; an identifier in a header never becomes a label. What
    may be images of several people under one label, or of several dates in one visit, is left out.

    Raises
    ------
    NoInputError
        Nothing could be guessed of any of them.
    """
    made, guesses = Sorted(), list[_Guess]()
    for candidate in found:
        for one in _of(candidate):
            if isinstance(one, _Guess):
                guesses.append(one)
            else:
                made.put(candidate.name, one)
    for one, why in zip(guesses, _clashes(guesses), strict=True):
        made.put(one.name, why or one.item)
    hint = "write a mapping; or is this another folder than you thought?"
    made.check_any(f"nothing of {len(found)} images could be guessed", hint)
    made.items = numbered(made.items)
    return made


def _of(candidate: Found) -> Sequence[_Guess | str | AppError]:
    if candidate.aside:
        return [candidate.aside]
    return _guessed_series(candidate) if candidate.dicom else [_guessed(candidate)]


def _guessed_series(candidate: Found) -> Sequence[_Guess | str | AppError]:
    """Guess every series of a DICOM folder by itself."""
    from bidsapp.formats.dicom import dicom_files, series_source
    from bidsapp.formats.series import NoPlaceError, by_number, series_of

    try:
        series = series_of(dicom_files(candidate.path))
    except (DataError, InputOutputError) as error:
        return [error]
    except OSError as error:
        return [unreadable(error)]
    if len({patient for one in series for patient in one.patients}) > 1:
        return [SEVERAL_PATIENTS]
    numbers = by_number(series)
    made: list[_Guess | str | AppError] = []
    for one in series:
        if one.fault is not None:
            made.append(NO_PLACE if isinstance(one.fault, NoPlaceError) else one.fault)
            continue
        if len(one.slices) < 2:
            made.append(ONE_SLICE)
            continue
        if len(series) > 1 and one.number not in numbers:
            made.append(f"several series {one.number} in one folder: put each into a folder of its own")
            continue
        guessed = _guessed(candidate, one.description, ct=one.modality == "CT")
        if isinstance(guessed, _Guess):
            item = guessed.item
            if len(series) > 1:
                source = series_source(candidate.path, one.number, root=candidate.name == ".")
                item = replace(item, source=source)
            dates = guessed.dates | dates_of(one.dates)
            guessed = replace(guessed, item=item, patients=one.patients, dates=dates)
        made.append(guessed)
    return made


def _guessed(candidate: Found, description: str = "", *, ct: bool = False) -> _Guess | str:
    described = CT if ct else description  # what a CT is called may sound like an MR contrast
    # The source folder itself has no name below itself: it may hold the slices of one head.
    parts = PurePosixPath(candidate.name).parts or (candidate.path.resolve().name,)
    folders, stem = parts[:-1], parts[-1].split(".")[0]
    if is_no_scan(folders, (described, stem)):
        return NO_SCAN
    contrast, entities = contrast_of((described, stem, *reversed(folders)))
    if contrast not in CONTRASTS:
        return contrast
    if contrast == CT and is_enhanced_ct((description, stem)):
        return ENHANCED
    source = candidate.path.resolve().parents[len(parts) - 1].name
    person = person_of(folders, stem, source)
    if not person.label:
        return NO_LABEL
    item = Item(candidate.path, person.label, session_of(parts), contrast, entities)
    return _Guess(item, candidate.name, person, dates=dates_of(parts))


def _clashes(guesses: Sequence[_Guess]) -> Iterable[str]:
    """Yield for each guess why it may be of another person or visit than its labels say, or nothing."""
    names = _sets((one.item.participant, one.person.name) for one in guesses)
    visits = [(one.item.participant, one.item.session) for one in guesses]
    patients = _sets((v, patient) for v, one in zip(visits, guesses, strict=True) for patient in one.patients)
    # As a set: beside its own date each may have that of a birth, or of an export. A CT is mostly of another day.
    kinds = [(visit, one.item.contrast == CT) for visit, one in zip(visits, guesses, strict=True)]
    dates = _sets((kind, one.dates) for kind, one in zip(kinds, guesses, strict=True) if one.dates)
    places = _sets((one.item.goal, one.person.place) for one in guesses)
    for visit, kind, one in zip(visits, kinds, guesses, strict=True):
        label, alike = f"sub-{one.item.participant}", sorted(names[one.item.participant])
        # A header that names the same patient everywhere tells that they are one person's.
        one_patient = any(one.patients) and one.patients >= patients[visit]
        if len(alike) > 1:
            yield f"{', '.join(alike[:SHOWN])} would all be {label}: write a mapping"
        elif len(patients.get(visit, ())) > 1:
            yield f"headers name several patients of what would be {label}: write a mapping"
        elif len(dates.get(kind, ())) > 1:
            yield f"images of several dates would be one visit of {label}: write a mapping, with sessions"
        elif len(places[one.item.goal]) > 1 and not one_patient:
            yield f"images of several folders or names would be runs of {label}: write a mapping"
        else:
            yield ""


def _sets(pairs: Iterable[tuple[Hashable, Any]]) -> dict[Any, set[Any]]:
    """Return the values of each key."""
    found: dict[Any, set[Any]] = {}
    for key, value in pairs:
        found.setdefault(key, set()).add(value)
    return found
