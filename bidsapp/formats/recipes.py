"""Recipes: small declarative files that say what the names in a known dataset mean."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

from bidsapp.errors import UsageError
from bidsapp.formats.mapping import CONTRASTS, ENTITIES, Item, label_of, numbered
from bidsapp.formats.sorting import Sorted
from bidsapp.formats.tables import read_rows
from bidsapp.formats.volume import HANDEDNESS, PLANES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bidsapp.formats.discover import Found

FOLDER = Path(__file__).parent / "recipes"
SCAN_FIELDS = {"match", "participant", "contrast", "dicom", "entities", "handedness", "plane", "volume", "sidecar"}
IGNORE_FIELDS = {"match", "why"}
FIELDS = {"name", "about", "license", "participants", "subjects", "sessions", "already_bids", "scan", "ignore"}


@dataclass(frozen=True)
class Rule:
    """What one kind of file is.

    Attributes
    ----------
    match : Pattern
        Searched in the path below the source folder. Its groups ``participant`` and ``session`` become labels.
    participant : str
        Whose all its files are, where that is not a group.
    contrast : str
        BIDS suffix; like every value of `entities` it may name groups: ``{suffix}``.
    dicom : bool or None
        Whether it is of DICOM folders only, of files only, or either.
    entities : Mapping of str to str
        ``acq``, ``ce``, ``rec``, ``run``.
    fixed : Mapping
        ``handedness``, ``plane``, ``volume`` and ``sidecar`` of its items.
    """

    match: re.Pattern[str]
    participant: str
    contrast: str
    dicom: bool | None
    entities: Mapping[str, str]
    fixed: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A dataset's layout.

    Attributes
    ----------
    name, about, license : str
        What it is.
    participants : tuple of str
        Groups that become columns of ``participants.tsv``.
    subjects : str
        Where file names do not say who was scanned: why, and where that stands.
    sessions : str
        ``order``: sessions are dates, and become 1, 2, … in each participant's order.
    already_bids : bool
        There is nothing to convert.
    rules : tuple of Rule
        The first that matches counts.
    ignored : tuple of (Pattern, str)
        What is left out on purpose, and why.
    """

    name: str
    about: str
    license: str
    participants: tuple[str, ...] = ()
    subjects: str = ""
    sessions: str = ""
    already_bids: bool = False
    rules: tuple[Rule, ...] = ()
    ignored: tuple[tuple[re.Pattern[str], str], ...] = ()


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the software."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_recipe(word: str) -> Recipe:
    """Read a recipe by its name, in any case, or a file of one's own.

    Raises
    ------
    UsageError
        There is none of this name, or the file is no recipe.
    """
    by_case = {name.lower(): name for name in recipe_names()}
    path = Path(word) if word.endswith(".toml") else FOLDER / f"{by_case.get(word.lower(), word)}.toml"
    if not path.is_file():
        raise UsageError(f"no recipe {word}", f"there is {', '.join(recipe_names())}; or give a .toml file")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return _recipe(content)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError, re.error) as error:
        raise UsageError(f"{path}: no recipe: {error}", "compare it with those that come along") from error


def apply_recipe(recipe: Recipe, found: Sequence[Found], subjects: Path | None = None) -> Sorted:
    """Tell what every candidate is.

    Parameters
    ----------
    recipe : Recipe
        The layout.
    found : sequence of Found
        Candidates.
    subjects : Path or None
        A table of scan, participant and session, where names do not say who was scanned.

    Raises
    ------
    UsageError
        The recipe needs that table, or the dataset is BIDS already.
    NoInputError
        Nothing is of this dataset.
    """
    if recipe.already_bids:
        hint = "run synthprep on it; if dataset_description.json is missing, fetch the whole dataset"
        raise UsageError(f"{recipe.name} is BIDS already: there is nothing to convert", hint)
    if recipe.subjects and subjects is None:
        raise UsageError(
            f"{recipe.name} needs --subjects: {recipe.subjects}", "columns scan, participant, session"
        )
    people = _people(subjects) if subjects else {}
    made, names = Sorted(), dict[str, str]()
    for candidate in found:
        made.put(candidate.name, candidate.aside or _sorted(recipe, candidate, people, names))
    message = f"nothing among {len(found)} files is named as in {recipe.name}"
    made.check_any(message, "check the folder; or write a mapping, or a recipe of your own")
    made.items = numbered(_in_order(made.items) if recipe.sessions == "order" else made.items)
    return made


def _recipe(content: Mapping[str, Any]) -> Recipe:
    if unknown := set(content) - FIELDS:
        raise ValueError(f"unknown field {', '.join(sorted(unknown))}")
    recipe = Recipe(
        content["name"],
        content["about"],
        content["license"],
        tuple(content.get("participants", ())),
        content.get("subjects", ""),
        content.get("sessions", ""),
        bool(content.get("already_bids", False)),
        tuple(_rule(rule, by_table=bool(content.get("subjects"))) for rule in content.get("scan", ())),
        tuple(_ignored(rule) for rule in content.get("ignore", ())),
    )
    if recipe.sessions not in {"", "order"}:
        raise ValueError(f"sessions is {recipe.sessions!r}, not 'order'")
    if nowhere := set(recipe.participants) - {name for rule in recipe.rules for name in rule.match.groupindex}:
        raise ValueError(f"participants names {', '.join(sorted(nowhere))}, which no match has as a group")
    return recipe


def _rule(rule: Mapping[str, Any], *, by_table: bool) -> Rule:
    """Return a rule; what it says is checked here, not at the first file that it matches."""
    if unknown := set(rule) - SCAN_FIELDS:
        raise ValueError(f"unknown field {', '.join(sorted(unknown))} of a scan")
    pattern = re.compile(rule["match"])
    whose = rule.get("participant", "")
    if label_of(whose) != whose:
        raise ValueError(f"participant is {whose!r}, not letters and digits")
    needed = "scan" if by_table else "participant"
    if needed not in pattern.groupindex and (by_table or not whose):
        raise ValueError(f"{rule['match']} has no group {needed}")
    entities = dict(rule.get("entities", {}))
    if unknown := set(entities) - set(ENTITIES):
        raise ValueError(f"unknown entity {', '.join(sorted(unknown))}")
    groups = {*pattern.groupindex, *(("participant", "session") if by_table else ())}
    for text in (rule["contrast"], *entities.values()):
        _check_names(text, groups)
    if "{" not in rule["contrast"] and rule["contrast"] not in CONTRASTS:
        raise ValueError(f"contrast {rule['contrast']}")
    if not isinstance(rule.get("dicom", True), bool):
        raise ValueError(f"dicom is {rule['dicom']!r}, not true or false")
    return Rule(pattern, whose, rule["contrast"], rule.get("dicom"), entities, _fixed(rule))


def _check_names(text: str, groups: set[str]) -> None:
    """Raise `ValueError` where a text names a group that a match does not have."""
    for _, name, _, _ in Formatter().parse(text):
        if name is not None and name not in groups:
            raise ValueError(f"{text} names {{{name}}}, but its match has {', '.join(sorted(groups))}")
    text.format(**dict.fromkeys(groups, ""))


def _fixed(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is the same for all files of a rule; a wrong word on handedness would mirror brains."""
    for name, known in (("handedness", HANDEDNESS), ("plane", PLANES)):
        if rule.get(name, known[0]) not in known:
            raise ValueError(f"{name} is {rule[name]!r}, not {' or '.join(known)}")
    volume = rule.get("volume", 0)
    if not isinstance(volume, int) or isinstance(volume, bool) or volume < 0:
        raise ValueError(f"volume is {volume!r}, not a whole number from 0")
    if not isinstance(rule.get("sidecar", {}), dict):
        raise ValueError(f"sidecar is {rule['sidecar']!r}, not a table")
    json.dumps(rule.get("sidecar"), allow_nan=False)  # TOML knows dates and NaN, JSON does not
    return {name: rule[name] for name in ("handedness", "plane", "volume", "sidecar") if name in rule}


def _ignored(rule: Mapping[str, Any]) -> tuple[re.Pattern[str], str]:
    if set(rule) != IGNORE_FIELDS:
        raise ValueError("an ignore has match and why")
    return re.compile(rule["match"]), rule["why"]


def _sorted(
    recipe: Recipe, candidate: Found, people: Mapping[str, tuple[str, str]], names: dict[str, str]
) -> Item | str:
    """Return the item of a candidate, or why there is none; `names` are those that labels were made of so far."""
    for pattern, why in recipe.ignored:
        if pattern.search(candidate.name):
            return why
    for rule in recipe.rules:
        match = rule.match.search(candidate.name)
        if match is None or rule.dicom not in {None, candidate.dicom}:
            continue
        groups = {"participant": rule.participant, **{name: of or "" for name, of in match.groupdict().items()}}
        if recipe.subjects:
            if groups["scan"] not in people:
                return f"scan {groups['scan']} is not in the table of --subjects"
            groups["participant"], groups["session"] = people[groups["scan"]]
        contrast = rule.contrast.format(**groups)
        if contrast not in CONTRASTS:
            return f"{contrast} is no anatomical image"
        label = label_of(groups["participant"])
        if names.setdefault(label, groups["participant"]) != groups["participant"] or not label:
            return f"{groups['participant']} would be sub-{label}, as {names[label]}: write a mapping"
        entities = {name: label_of(text.format(**groups)) for name, text in rule.entities.items()}
        session = groups.get("session", "")
        return Item(
            candidate.path,
            label,
            (session if recipe.sessions == "order" else label_of(session)) or None,
            contrast,
            {name: label for name, label in entities.items() if label},
            about={name: groups[name] for name in recipe.participants if groups.get(name)},
            **rule.fixed,
        )
    return "no rule of the recipe matches"


def _in_order(items: Sequence[Item]) -> list[Item]:
    """Replace sessions, which are dates, by their number among the participant's: a date tells too much."""
    dates: dict[str, set[str]] = {}
    for item in items:
        dates.setdefault(item.participant, set()).add(item.session or "")
    number = {person: {date: str(n) for n, date in enumerate(sorted(of), 1)} for person, of in dates.items()}
    return [replace(item, session=number[item.participant][item.session or ""]) for item in items]


def _people(table: Path) -> dict[str, tuple[str, str]]:
    rows = read_rows(table, ("scan", "participant", "session"))
    return {row["scan"]: (row["participant"], row["session"]) for _, row in rows}
