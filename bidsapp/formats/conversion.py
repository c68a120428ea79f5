"""Sources to images of a dataset: each whole or not at all, nothing twice, nothing overwritten unasked."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from bidsapp import __version__
from bidsapp.bids.names import sidecar
from bidsapp.bids.sink import write_image
from bidsapp.errors import AppError, CannotCreateError, ExitCode
from bidsapp.formats.dataset import begin_dataset, finish_dataset, read_provenance, write_provenance
from bidsapp.formats.reading import digest_of, format_of, read_volume
from bidsapp.formats.volume import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bidsapp.formats.mapping import Item
    from bidsapp.formats.volume import Volume

log = logging.getLogger(__name__)

OVERWRITE = "give --overwrite to replace it, or another name by acq or run"


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
    for number, item in enumerate(items):
        if on_item is not None:
            on_item(number, item.goal)
        try:
            volume = _read(item, source, root, options, rows, overwrite=overwrite)
            if volume is not None:
                begin_dataset(root, name, licence)
                _write(item, volume, root / item.goal)
                write_provenance(root, rows)
        except AppError as error:
            outcome.refused.append(error)
            continue
        except OSError as error:
            message = f"{error.filename or item.source}: {error.strerror or error}"
            outcome.refused.append(CannotCreateError(message, "check disk space and permissions"))
            continue
        (outcome.unchanged if volume is None else outcome.converted).append(item.goal)
    if outcome.converted or outcome.unchanged:
        there = {*outcome.converted, *outcome.unchanged}
        finish_dataset(root, [item for item in items if item.goal in there])
    return outcome


def _read(
    item: Item, source: Path, root: Path, options: ReadOptions, rows: dict[str, Any], *, overwrite: bool
) -> Volume | None:
    """Read what is to be written, and note where it comes from; ``None`` where it is there already."""
    goal, found = root / item.goal, format_of(item.source)
    options = _options(item, options)
    row = {
        "filename": item.goal,
        "source": item.source.relative_to(source).as_posix(),
        "sha256": digest_of(item.source),
        "format": found,
        "options": options.said,
    }
    known = rows.get(item.goal, {})
    same = all((known.get(name) or "n/a") == (row[name] or "n/a") for name in ("sha256", "options"))
    if goal.is_file() and same:
        return None
    if goal.is_file() and known and not overwrite:
        was = known["source"] + (f" ({known['options']})" if known["options"] != "n/a" else "")
        raise CannotCreateError(f"{item.source}: {goal} is there already, made from {was}", OVERWRITE)
    volume = read_volume(item.source, options, item.contrast)
    if goal.is_file() and not known and not overwrite and not _holds(goal, volume):
        raise CannotCreateError(f"{item.source}: {goal} is there already, and is another image", OVERWRITE)
    rows[item.goal] = {**row, "conversion": " ".join(volume.said), "software": f"SynthPrep {__version__}"}
    return volume


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
    image = nib.load(goal)
    same = image.shape == volume.data.shape and np.allclose(image.affine, volume.affine, atol=1e-4)
    return bool(same and np.array_equal(np.asarray(image.dataobj), volume.data))
