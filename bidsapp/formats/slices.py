"""Preprocessed visits to 2D slices for other software, and slices back to images, to the bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from bidsapp.bids.sink import write_bytes, write_json, write_tsv
from bidsapp.errors import DataError, NoInputError, UsageError
from bidsapp.formats.pictures import encoded
from bidsapp.formats.reading import UNREADABLE
from bidsapp.formats.visits import PreparedVisit, prepared_visits
from bidsapp.records import CT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
KINDS = ("normalized", "preproc")
MANIFEST, VOLUMES = "slices.tsv", "volumes.json"
# Of the voxels of a slice: as many must be above the percentile, or it is background.
LEAST_FOREGROUND = 0.01
# Around a CT is air, where 0 is water; a normalized one counts in 1000 HU.
AIR = {"preproc": -1024, "normalized": -1.024}


@dataclass(frozen=True)
class SliceOptions:
    """What is written.

    Attributes
    ----------
    contrasts : tuple of str
        The first is what every visit must have; the others are paired with it.
    kind : str
        ``normalized`` or ``preproc`` images.
    axis : str
        ``axial``, ``coronal`` or ``sagittal``: the axis of the head that is cut across.
    ending : str
        ``.tif`` or ``.npy``.
    extent : (float, float) or None
        Percent of the brain's extent along the axis, from below, behind or left; ``None``: all slices.
    background : float or None
        Percentile of the first contrast: a slice with less than one voxel in a hundred above it is left out.
    """

    contrasts: tuple[str, ...]
    kind: str = "normalized"
    axis: str = "axial"
    ending: str = ".tif"
    extent: tuple[float, float] | None = None
    background: float | None = None


@dataclass
class Written:
    """What was written, and what was left out for which reason."""

    slices: int = 0
    visits: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def write_slices(derivatives: Path, out: Path, options: SliceOptions) -> Written:
    """Write every visit's slices: ``T1w/sub-01_axial-080.tif``, float32, the patient's left at the left.

    Slices of one visit at one place have one file name in the folders of all contrasts, and one row in
    ``slices.tsv``. ``volumes.json`` has what leads back.

    Parameters
    ----------
    derivatives : Path
        Output of the participant level.
    out : Path
        A new or empty folder.
    options : SliceOptions
        What is written.

    Returns
    -------
    Written

    Raises
    ------
    NoInputError
        No visit has the first contrast.
    UsageError
        The folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists and is not empty", "give a new folder")
    visits, left_out = prepared_visits(derivatives, options.contrasts, options.kind)
    there = {contrast for visit in visits for contrast in visit.images}
    absent = [contrast for contrast in options.contrasts if contrast not in there]
    if visits and absent:
        raise UsageError(f"{derivatives}: no visit has a usable {', '.join(absent)}", "correct --contrasts")
    written = Written(left_out=left_out)
    rows: list[dict[str, Any]] = []
    volumes: dict[str, Any] = {}
    for visit in visits:
        try:
            indices, images = _chosen(visit, options)
        except DataError as error:
            written.left_out[visit.label] = str(error)
            continue
        rows += _write_visit(visit, images, indices, out, options)
        volumes[visit.label] = _described(visit, images, derivatives, options)
        written.visits.append(visit.label)
    if not rows:
        reasons = "; ".join(f"{label}: {why}" for label, why in written.left_out.items())
        message = f"{derivatives}: no visit has a usable {options.contrasts[0]}"
        raise NoInputError(message + (f" ({reasons})" if reasons else ""), "run the participant level first")
    write_json({"Axis": options.axis, "Visits": volumes}, out / VOLUMES)
    write_tsv(rows, out / MANIFEST, ["visit", "index", "position_mm", *options.contrasts])
    written.slices = sum(row.get(contrast) is not None for row in rows for contrast in options.contrasts)
    return written


def plane_of(canonical: NDArray[Any], axis: int, index: int) -> NDArray[np.float32]:
    """Return a slice of a right-anterior-superior array as a picture: rows run down, columns to the right."""
    return np.ascontiguousarray(np.take(canonical, index, axis).T[::-1], np.float32)


def _chosen(visit: PreparedVisit, options: SliceOptions) -> tuple[list[int], dict[str, nib.Nifti1Image]]:
    """Return the slices to write and the images, all on one grid, in canonical orientation."""
    images = {contrast: _read(path) for contrast, path in visit.images.items()}
    first = next(iter(images.values()))
    for contrast, image in images.items():
        if image.get_data_dtype().name not in {"float32", "int16", "uint8"}:
            raise DataError(
                f"{visit.images[contrast]}: voxels of type {image.get_data_dtype()}", "not ours; run again"
            )
        if image.shape != first.shape or not np.array_equal(image.affine, first.affine):
            raise DataError(f"{visit.images[contrast]}: on another grid", "run the participant level again")
    axis = AXES[options.axis]
    kept = np.ones(nib.as_closest_canonical(first).shape[axis], bool)
    others = tuple(other for other in range(3) if other != axis)
    if options.extent is not None:
        mask = np.asarray(nib.as_closest_canonical(_read(visit.mask)).dataobj) > 0
        inside = np.flatnonzero(mask.any(axis=others))
        if not inside.size:
            raise DataError(f"{visit.mask}: an empty mask", "run the participant level again")
        low, high = (inside[0] + (inside[-1] - inside[0]) * percent / 100 for percent in options.extent)
        places = np.arange(kept.size)
        kept &= (places >= low) & (places <= high)
    if options.background is not None:
        data = np.asarray(nib.as_closest_canonical(first).dataobj)
        above = data > np.percentile(data, options.background)
        kept &= above.mean(axis=others) >= LEAST_FOREGROUND
    return [int(index) for index in np.flatnonzero(kept)], images


def _read(path: Path) -> nib.Nifti1Image:
    """Return an image with its voxels, so that a damaged one is known before a slice is written."""
    try:
        image = nib.load(path)
        return nib.Nifti1Image(np.asanyarray(image.dataobj), image.affine, image.header)
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read: {error}", "run the participant level again") from error


def _write_visit(
    visit: PreparedVisit,
    images: dict[str, nib.Nifti1Image],
    indices: Sequence[int],
    out: Path,
    options: SliceOptions,
) -> list[dict[str, Any]]:
    axis = AXES[options.axis]
    affine = nib.as_closest_canonical(next(iter(images.values()))).affine
    rows: list[dict[str, Any]] = [
        {"visit": visit.label, "index": index, "position_mm": float(affine[axis, axis] * index + affine[axis, 3])}
        for index in indices
    ]
    for contrast, image in images.items():
        canonical = np.asarray(nib.as_closest_canonical(image).dataobj)
        for index, row in zip(indices, rows, strict=True):
            name = f"{contrast}/{visit.label}_{options.axis}-{index:03d}{options.ending}"
            write_bytes(encoded(plane_of(canonical, axis, index), options.ending), out / name)
            row[contrast] = name
    return rows


def _described(
    visit: PreparedVisit, images: dict[str, nib.Nifti1Image], derivatives: Path, options: SliceOptions
) -> dict[str, Any]:
    """Return what leads back from slices to the images."""
    first = next(iter(images.values()))
    return {
        "Shape": [int(n) for n in first.shape],
        "Affine": [[float(x) for x in row] for row in first.affine],
        "Code": int(first.header["sform_code"]),
        "Images": {
            contrast: {
                "Source": visit.images[contrast].relative_to(derivatives).as_posix(),
                "DataType": image.get_data_dtype().name,
                "Fill": AIR[options.kind] if contrast == CT else 0,
            }
            for contrast, image in images.items()
        },
    }
