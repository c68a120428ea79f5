"""The pictures that show whether a step on a scan went well: what a field did, and what a registration left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bidsapp.reports.canvas import Bar, draw_sheet
from bidsapp.reports.figures import EACH_PLANE
from bidsapp.reports.panels import brain_of, panel, views
from bidsapp.reports.slices import PLANES, bounding_box, canonical, grey_window

if TYPE_CHECKING:
    from pathlib import Path

    from nibabel import Nifti1Image

FIELD_COLOURS = "RdBu_r"
# How far from 1 the colours of a bias field reach: at least, so that noise looks like none, and at most.
FIELD_RANGE = (0.05, 0.95)


def flicker_figures(
    fixed: Nifti1Image, moving: Nifti1Image, mask: Nifti1Image, paths: tuple[Path, Path]
) -> tuple[Path, Path]:
    """Draw the same slices of two images, one sheet each: laid on each other, they show by turns what moved.

    Parameters
    ----------
    fixed, moving : Nifti1Image, shape (X, Y, Z)
        On one grid, after registration.
    mask : Nifti1Image, shape (X, Y, Z)
        Brain of the fixed image, not empty.
    paths : (Path, Path)
        The SVGs to write.

    Returns
    -------
    (Path, Path)
        `paths`.
    """
    brain = brain_of(mask)
    for image, path in zip((fixed, moving), paths, strict=True):
        head = canonical(image)
        box = bounding_box(brain, head.spacing, margin=12.0)
        window = grey_window(head.voxels, brain)
        rows = [[panel(head, view, box, window) for view in views(brain, [(plane, 3)])] for plane in PLANES]
        draw_sheet(rows, path)
    return paths


def bias_figure(
    acquired: Nifti1Image, field: Nifti1Image, corrected: Nifti1Image, mask: Nifti1Image, path: Path
) -> Path:
    """Draw an image before and after its bias field was divided out, and the field between them.

    Parameters
    ----------
    acquired, field, corrected : Nifti1Image, shape (X, Y, Z)
        In the scan's own grid.
    mask : Nifti1Image, shape (X, Y, Z)
        Its brain, where the field was estimated; not empty.
    path : Path
        The SVG to write.

    Returns
    -------
    Path
        `path`.
    """
    heads, brain = [canonical(image) for image in (acquired, field, corrected)], brain_of(mask)
    box = bounding_box(brain, heads[0].spacing, margin=12.0)
    widest = float(np.clip(np.abs(np.percentile(heads[1].voxels[brain], (1, 99)) - 1).max(), *FIELD_RANGE))
    around = (1 - widest, 1 + widest)
    # One window for both, from the corrected brain: what was too bright or too dark is seen to be.
    grey = grey_window(heads[2].voxels, brain)
    columns = [
        ("as acquired", heads[0], grey, "gray"),
        ("bias field", heads[1], around, FIELD_COLOURS),
        ("corrected", heads[2], grey, "gray"),
    ]
    rows = [
        [
            panel(head, view, box, window, colours=colours, heading=name if number == 0 else "")
            for name, head, window, colours in columns
        ]
        for number, view in enumerate(views(brain, EACH_PLANE))
    ]
    return draw_sheet(rows, path, Bar(around, FIELD_COLOURS, "bias field; 1 is its mean in the brain"))
