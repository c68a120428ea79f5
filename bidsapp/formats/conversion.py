"""Sources to images of a dataset: each whole or not at all, nothing twice, nothing overwritten unasked."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from bidsapp import __version__
from bidsapp.bids.names import sidecar
from bidsapp.bids.sink import write_image
from bidsapp.errors import AppError, CannotCreateError, ExitCode, InputOutputError
from bidsapp.formats.dataset import add_provenance, begin_dataset, finish_dataset, read_provenance
from bidsapp.formats.reading import UNREADABLE, digest_of, format_of, read_volume
from bidsapp.formats.volume import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bidsapp.formats.mapping import Item
    from bidsapp.formats.volume import Volume

log = logging.getLogger(__name__)

OVERWRITE = "give --overwrite to replace it, or another name by acq or run"
MIXED = "visits would be mixed: delete the images that have old names, or keep those names by a mapping"


@dataclass
class Outcome:
    """What became of the sources.

    Attributes
    ----------
    converted, unchanged : list of str
        Images that were written, and those that were there already.
    refused : list of AppError
        Why the others were not.
    """

    converted: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[AppError] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """0; 1 where some were refused; where all were, what the first was refused for."""
        if not self.refused:
            return ExitCode.OK
        return ExitCode.VISIT_FAILED if self.converted or self.unchanged else self.refused[0].exit_code


def convert(
    items: Sequence[Item],
    source: Path,
    root: Path,
    options: ReadOptions,
    *,
    name: str = "",
    licence: str = "",
    overwrite: bool = False,
    on_item: Callable[[int, str], object] | None = None,
) -> Outcome:
    """Convert sources into a dataset, which begins with the first image; one that is refused costs only itself.

    Where an image lies in another visit already, nothing more of its participant is converted.

    Parameters
    ----------
    items : sequence of Item
        What is whose.
    source, root : Path
        The source folder and the dataset.
    options : ReadOptions
        For all items; what an item says itself goes first.
    name, licence : str
        Of a dataset that is not there yet.
    overwrite : bool
        Whether an image that was made from something else, or otherwise, is replaced.
    on_item : callable or None
        Called with an item's number and goal before it is read.

    Returns
    -------
    Outcome
    """
    outcome, rows = Outcome(), read_provenance(root)
    moved = _moved(items, source, rows, root)
    for number, item in enumerate(items):
        if on_item is not None:
            on_item(number, item.goal)
        try:
            made = _read(item, source, root, options, rows, moved, overwrite=overwrite)
            if made is not None:
                begin_dataset(root, name, licence)
                _write(item, made[0], root / item.goal)
                # Not before: of an image that could not be written the old row holds.
                rows = add_provenance(root, made[1])
        except AppError as error:
            outcome.refused.append(error)
            continue
        except OSError as error:
            outcome.refused.append(as_app_error(error, root))
            continue
        (outcome.unchanged if made is None else outcome.converted).append(item.goal)
    if outcome.converted or outcome.unchanged:
        there = {*outcome.converted, *outcome.unchanged}
        finish_dataset(root, [item for item in items if item.goal in there])
    return outcome


def as_app_error(error: OSError, root: Path) -> AppError:
    """Return an error of the system as one of the dataset that could not be written, or else of another file."""
    message = f"{error.filename or root}: {error.strerror or error}"
    file, goal = Path(error.filename or root).absolute(), root.absolute()
    if goal in {file, *file.parents} or file in goal.parents:
        return CannotCreateError(message, "check disk space, permissions and the length of names")
    return InputOutputError(message, "check permissions and the length of names, or leave it out")


def _read(
    item: Item,
    source: Path,
    root: Path,
    options: ReadOptions,
    rows: Mapping[str, Any],
    moved: Mapping[str, str],
    *,
    overwrite: bool,
) -> tuple[Volume, dict[str, str]] | None:
    """Return what is to be written and its row of the provenance; ``None`` where it is there already."""
    goal, found = root / item.goal, format_of(item.source)
    options = _options(item, options).of(found, item.contrast)
    row = {
        "filename": item.goal,
        "source": item.source.relative_to(source).as_posix(),
        "sha256": digest_of(item.source),
        "format": found,
        "options": options.said,
    }
    known = rows.get(item.goal, {})
    if goal.is_file() and _is_same(known, row, options):
        return None
    if item.participant in moved:
        raise CannotCreateError(f"{item.source}: not converted, because {moved[item.participant]}", MIXED)
    if goal.is_file() and known and not overwrite:
        raise CannotCreateError(f"{item.source}: {goal} is there already, {_made(known, row)}", OVERWRITE)
    if not goal.is_file():
        _check_renamed(row, rows, root, options)
    volume = read_volume(item.source, options, item.contrast)
    if goal.is_file() and not known and not overwrite and not _holds(goal, volume):
        raise CannotCreateError(f"{item.source}: {goal} is there already, and is another image", OVERWRITE)
    if not volume.straightened:
        row["options"] = replace(options, tilt="refuse").said
    return volume, {**row, "conversion": " ".join(volume.said), "software": f"SynthPrep {__version__}"}


def _is_same(known: Mapping[str, str], row: Mapping[str, str], options: ReadOptions) -> bool:
    """Return whether an image was made of the same bytes in the same way."""
    # An image with straight axes is the same with and without --tilt.
    ways = {options.said, replace(options, tilt="refuse").said}
    return known.get("sha256") == row["sha256"] and _said(known) in ways


def _said(known: Mapping[str, str]) -> str:
    options = known.get("options") or "n/a"
    return "" if options == "n/a" else options


def _made(known: Mapping[str, str], row: Mapping[str, str]) -> str:
    """Say what an image was made from, or how, where that differs."""
    if known["sha256"] == row["sha256"]:
        return f"made with {_said(known) or 'no options'}, and now asked for with {row['options'] or 'none'}"
    changed = ", which has changed since" if known["source"] == row["source"] else ""
    return f"made from {known['source']}{changed}"


def _check_renamed(
    row: Mapping[str, str], rows: Mapping[str, Mapping[str, str]], root: Path, options: ReadOptions
) -> None:
    """Raise where the same visit has the same image of the same source under another name already."""
    folder, suffix = row["filename"].rsplit("/", 1)[0], row["filename"].rsplit("_", 1)[1]
    for name, known in rows.items():
        alike = name.startswith(f"{folder}/") and name.endswith(f"_{suffix}") and known["source"] == row["source"]
        if alike and _is_same(known, row, options) and (root / name).is_file():
            message = f"{row['source']}: would be {row['filename']}, but was converted as {name}"
            raise CannotCreateError(message, "keep that name by a mapping, or delete the image that has it")


def _moved(
    items: Sequence[Item], source: Path, rows: Mapping[str, Mapping[str, str]], root: Path
) -> dict[str, str]:
    """Return of whom an image lies in another visit already, and which: old and new visits would be mixed."""
    now: dict[str, list[Item]] = {}
    for item in items:
        now.setdefault(item.source.relative_to(source).as_posix(), []).append(item)
    moved: dict[str, str] = {}
    for name, known in rows.items():
        same = now.get(known["source"], [])
        if not same or _visit(name) in {_visit(item.goal) for item in same} or not (root / name).is_file():
            continue
        for item in same:
            if _holds_bytes(item.source, known["sha256"]):
                moved[item.participant] = f"{known['source']} would be {item.goal}, but was converted as {name}"
    return moved


def _visit(name: str) -> str:
    return name.rsplit("/", 2)[0]


def _holds_bytes(source: Path, sha256: str) -> bool:
    try:
        return digest_of(source) == sha256
    except (AppError, OSError):
        return False  # which is said when it is read


def _options(item: Item, options: ReadOptions) -> ReadOptions:
    own = {name: getattr(item, name) for name in ("handedness", "plane", "volume")}
    return replace(options, **{name: value for name, value in own.items() if value is not None})


def _write(item: Item, volume: Volume, goal: Path) -> None:
    image = nib.Nifti1Image(volume.data, volume.affine)
    image.set_sform(volume.affine, volume.code)
    content = {**volume.sidecar, **item.sidecar}
    if volume.said:
        content["ConversionNotes"] = list(volume.said)
    write_image(image, goal, content, dtype=str(volume.data.dtype))


def _holds(goal: Path, volume: Volume) -> bool:
    """Return whether an image without provenance is the one that a run was killed after, and not another."""
    if not goal.with_name(sidecar(goal.name)).is_file():
        return False
    try:
        image = nib.load(goal)
        same = image.shape == volume.data.shape and np.allclose(image.affine, volume.affine, atol=1e-4)
        return bool(same and np.array_equal(np.asarray(image.dataobj), volume.data))
    except UNREADABLE:
        return False
