"""Slices back to images: exact where the slices are, and said where there are none."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from bidsapp.bids.sink import write_image
from bidsapp.errors import DataError, UsageError
from bidsapp.formats.pictures import decoded
from bidsapp.formats.slices import AXES, MANIFEST, VOLUMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

WRITE_AGAIN = "write the slices again"


def assemble(slices: Path, out: Path, contrasts: Sequence[str] = ()) -> list[Path]:
    """Make images of slices that `write_slices` wrote, or that a network put in their place.

    Parameters
    ----------
    slices : Path
        The folder.
    out : Path
        Images go here, by the names that they had; not the folder of the derivatives.
    contrasts : sequence of str
        Which ones; all where none is named.

    Returns
    -------
    list of Path
        The images.

    Raises
    ------
    DataError
        A slice is missing, damaged or of another size.
    UsageError
        A contrast is not there, or an image would be overwritten.
    """
    volumes, rows = _read(slices)
    try:
        axis = AXES[volumes["Axis"]]
        known = dict.fromkeys(contrast for visit in volumes["Visits"].values() for contrast in visit["Images"])
        if unknown := [contrast for contrast in contrasts if contrast not in known]:
            raise UsageError(f"{slices}: no slices of {', '.join(unknown)}", f"there is {', '.join(known)}")
        written = []
        for label, visit in volumes["Visits"].items():
            for contrast in contrasts or known:
                if contrast in visit["Images"]:
                    of_visit = [row for row in rows if row["visit"] == label]
                    written.append(_assemble(slices, out, visit, contrast, of_visit, axis))
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise DataError(f"{slices}: {VOLUMES} or {MANIFEST} is damaged: {error!r}", WRITE_AGAIN) from error
    return written


def _read(slices: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    try:
        volumes = json.loads((slices / VOLUMES).read_text(encoding="utf-8"))
        with (slices / MANIFEST).open(encoding="utf-8", newline="") as file:
            return volumes, list(csv.DictReader(file, delimiter="\t"))
    except (OSError, ValueError) as error:
        raise DataError(f"{slices}: {VOLUMES} or {MANIFEST} cannot be read: {error}", WRITE_AGAIN) from error


def _assemble(
    slices: Path, out: Path, visit: Mapping[str, Any], contrast: str, rows: Sequence[Mapping[str, str]], axis: int
) -> Path:
    about = visit["Images"][contrast]
    goal = out / about["Source"]
    if goal.exists():
        raise UsageError(f"{goal}: exists", "give a new folder")
    original = nib.Nifti1Image(np.zeros(visit["Shape"], np.uint8), np.array(visit["Affine"], float))
    turn = nib.io_orientation(original.affine)
    shape = nib.as_closest_canonical(original).shape
    data = np.full(shape, about["Fill"], np.float32)
    for row in rows:
        path = slices / row[contrast]
        plane = decoded(path)[::-1].T
        place = (slice(None),) * axis + (int(row["index"]),)
        if plane.shape != data[place].shape:
            message = f"{path}: {plane.shape[1]} × {plane.shape[0]} pixels, its image has other slices"
            raise DataError(message, "predict slices in the size that they were given in")
        data[place] = plane
    back = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), turn)
    turned: NDArray[Any] = nib.orientations.apply_orientation(data, back)
    image = nib.Nifti1Image(turned, original.affine)
    image.set_sform(original.affine, int(visit["Code"]))
    missing = shape[axis] - len(rows)
    said = f"; {missing} slices that were not written are {about['Fill']}" if missing else ""
    sidecar = {"Description": f"Assembled from {len(rows)} slices{said}", "Sources": [about["Source"]]}
    return write_image(image, goal, sidecar, dtype=about["DataType"])
