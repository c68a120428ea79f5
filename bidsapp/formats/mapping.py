"""Which source is whose: items, and the table that a person writes them in."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp.bids.names import raw
from bidsapp.errors import UsageError
from bidsapp.formats.tables import read_rows
from bidsapp.formats.volume import HANDEDNESS, PLANES
from bidsapp.records import CT, Visit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CONTRASTS = ("T1w", "T2w", "PDw", "FLAIR", "T2starw", "angio", "inplaneT1", "inplaneT2", CT)
REQUIRED = ("source", "participant", "session", "contrast")
ENTITIES = ("acq", "ce", "rec", "run")
OPTIONAL = (*ENTITIES, "volume", "handedness", "plane")
MISSING = {"", "n/a"}


@dataclass(frozen=True)
class Item:
    """One image to convert.

    Attributes
    ----------
    source : Path
        A file or a DICOM folder, with ``#SERIES`` behind it where there are several in one folder.
    participant, contrast : str
        Label without ``sub-``, and BIDS suffix.
    session : str or None
        Label without ``ses-``.
    entities : Mapping of str to str
        ``acq``, ``ce``, ``rec``, ``run``.
    volume : int or None
        Which of several volumes, from 0.
    handedness, plane : str or None
        Of Analyze; see `ReadOptions`.
    sidecar : Mapping
        What is known of it besides.
    about : Mapping of str to str
        What ``participants.tsv`` is to say of the participant.
    """

    source: Path
    participant: str
    session: str | None
    contrast: str
    entities: Mapping[str, str] = field(default_factory=dict)
    volume: int | None = None
    handedness: str | None = None
    plane: str | None = None
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def goal(self) -> str:
        """Path of the image in the dataset."""
        return raw(Visit(self.participant, self.session, ()), self.entities, self.contrast)


def read_mapping(table: Path, root: Path) -> list[Item]:
    """Read a table: the columns source, participant, session, contrast, and acq, ce, rec, run and more.

    Parameters
    ----------
    table : Path
        Tab-separated; sources are relative to `root`.
    root : Path
        The source folder.

    Raises
    ------
    UsageError
        It is no such table (see `read_rows`), a value is none, two rows would make one file, or name one source.
    """
    rows = read_rows(table, REQUIRED, OPTIONAL)
    items = [_item(row, f"{table}, line {number}", root) for number, row in rows]
    if not items:
        raise UsageError(f"{table}: has no row", "a row for each image")
    check_items(items)
    return items


def write_mapping(items: Iterable[Item], root: Path) -> str:
    """Return items as the table that `read_mapping` reads."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    items = list(items)
    extra = [name for name in OPTIONAL if any(_cell(item, name) for item in items)]
    writer.writerow([*REQUIRED, *extra])
    for item in items:
        source = item.source.relative_to(root).as_posix()
        first = [source, item.participant, item.session or "n/a", item.contrast]
        writer.writerow(first + [_cell(item, name) or "n/a" for name in extra])
    return text.getvalue()


def check_items(items: Sequence[Item]) -> None:
    """Raise `UsageError` where two sources would become one file, one would become two, or one is nobody's."""
    goals: dict[str, Item] = {}
    sources: dict[tuple[Path, int], Item] = {}
    for item in items:
        if not item.participant:
            raise UsageError(f"{item.source}: the participant has no label", "write a mapping")
        other = goals.setdefault(item.goal, item)
        if other is not item:
            hint = "tell them apart by session, acq or run"
            raise UsageError(f"{other.source} and {item.source} would both be {item.goal}", hint)
        other = sources.setdefault((item.source, item.volume or 0), item)
        if other is not item:
            hint = "name each image once; volumes of one file are told apart by the column volume"
            raise UsageError(f"{item.source} would be both {other.goal} and {item.goal}", hint)


def label_of(text: str) -> str:
    """Return a text as a BIDS label: its letters and digits."""
    return re.sub(r"[^A-Za-z0-9]", "", text)


def numbered(items: Sequence[Item]) -> list[Item]:
    """Return items with ``run`` 1, 2, … where several would have one name, in the order of their sources."""
    groups: dict[str, list[Item]] = {}
    for item in sorted(items, key=lambda one: str(one.source)):
        groups.setdefault(item.goal, []).append(item)
    result = []
    for group in groups.values():
        if len(group) == 1:
            result += group
        else:
            result += [replace(o, entities={**o.entities, "run": str(n)}) for n, o in enumerate(group, start=1)]
    return sorted(result, key=lambda one: one.goal)


def _item(row: Mapping[str, str], where: str, root: Path) -> Item:
    values = {name: value for name, value in row.items() if value not in MISSING}
    for name in ("source", "participant", "contrast"):
        if name not in values:
            raise UsageError(f"{where}: no {name}", "every image needs one")
    participant = values["participant"].removeprefix("sub-")
    session = values.get("session", "").removeprefix("ses-") or None
    entities = {name: values[name].removeprefix(f"{name}-") for name in ENTITIES if name in values}
    for name, label in {"participant": participant, "session": session or "1", **entities}.items():
        if not re.fullmatch(r"[A-Za-z0-9]+", label):
            raise UsageError(
                f"{where}: {name} {label!r}", f"letters and digits only, such as {label_of(label) or '01'}"
            )
    if values["contrast"] not in CONTRASTS:
        raise UsageError(f"{where}: unknown contrast {values['contrast']}", f"there is {', '.join(CONTRASTS)}")
    if not (values.get("run", "1") + values.get("volume", "0")).isdecimal():
        raise UsageError(f"{where}: run and volume are whole numbers", "volumes count from 0")
    for name, known in (("handedness", HANDEDNESS), ("plane", PLANES)):
        if values.get(name, known[0]) not in known:
            raise UsageError(f"{where}: {name} {values[name]}", f"give {' or '.join(known)}")
    source = Path(values["source"])
    if source.is_absolute() or ".." in source.parts:
        raise UsageError(f"{where}: source {source}", "give a path inside the source folder, relative to it")
    volume = int(values["volume"]) if "volume" in values else None
    return Item(
        root / source,
        participant,
        session,
        values["contrast"],
        entities,
        volume,
        values.get("handedness"),
        values.get("plane"),
    )


def _cell(item: Item, name: str) -> str:
    if name in ENTITIES:
        return item.entities.get(name, "")
    value = getattr(item, name)
    return "" if value is None else str(value)
