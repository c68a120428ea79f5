"""The pictures of the reports. The patient's left is at the left of a picture, and the letters say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bidsapp.reports.canvas import Bar, draw_sheet
from bidsapp.reports.panels import (
    brain_of,
    checkerboard,
    only_inside,
    outline,
    panel,
    tissue_region,
    views,
)
from bidsapp.reports.slices import AXIAL, CORONAL, PLANES, SAGITTAL, Head, bounding_box, canonical, grey_window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nibabel import Nifti1Image

MASK_COLOUR = "#ff5a4f"
TISSUE_COLOUR = "#ffd23f"
ERROR_COLOURS = "inferno"
EACH_PLANE = ((AXIAL, 1), (CORONAL, 1), (SAGITTAL, 1))
TWO_AXIAL = ((AXIAL, 2), (CORONAL, 1), (SAGITTAL, 1))
# A bone window is level 400, width 1800 HU: air is black, soft tissue dark grey, and bone keeps its shades.
CT_WINDOW = (-500.0, 1300.0)
CT_ERRORS = (0.0, 500.0)


def brain_mask_figure(
    image: Nifti1Image, mask: Nifti1Image, path: Path, *, reference: Nifti1Image | None = None
) -> Path:
    """Draw a brain mask's outline on its image: six slices in each of three planes.

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        The head.
    mask : Nifti1Image, shape (X, Y, Z)
        0 and 1, not empty.
    path : Path
        The SVG to write.
    reference : Nifti1Image, optional
        The reference's brain mask on the same grid, whose outline is drawn, too, below the other.

    Returns
    -------
    Path
        `path`.
    """
    head, brain = canonical(image), brain_of(mask)
    box = bounding_box(brain, head.spacing, margin=12.0)
    window = grey_window(head.voxels, brain)
    regions = [(brain_of(reference), TISSUE_COLOUR)] if reference is not None else []
    regions.append((brain, MASK_COLOUR))
    rows = [
        [
            panel(
                head,
                view,
                box,
                window,
                lines=[outline(region, head.spacing, view, box, colour) for region, colour in regions],
            )
            for view in views(brain, [(plane, 6)])
        ]
        for plane in PLANES
    ]
    return draw_sheet(rows, path)


def registration_figure(fixed: Nifti1Image, moving: Nifti1Image, mask: Nifti1Image, path: Path) -> Path:
    """Draw the fixed image's outlines on both images, and a checkerboard of the two.

    Parameters
    ----------
    fixed, moving : Nifti1Image, shape (X, Y, Z)
        On one grid, after registration.
    mask : Nifti1Image, shape (X, Y, Z)
        Brain of the fixed image, not empty.
    path : Path
        The SVG to write.

    Returns
    -------
    Path
        `path`.
    """
    still, moved, brain = canonical(fixed), canonical(moving), brain_of(mask)
    box = bounding_box(brain, still.spacing, margin=8.0)
    windows = grey_window(still.voxels, brain), grey_window(moved.voxels, brain)
    mixed = checkerboard(still, moved, windows)
    tissue = tissue_region(still, brain)
    rows = []
    for number, view in enumerate(views(brain, EACH_PLANE)):
        names = ("fixed", "moving, outlines of fixed", "both, in squares") if number == 0 else ("", "", "")
        lines = [
            outline(tissue, still.spacing, view, box, TISSUE_COLOUR),
            outline(brain, still.spacing, view, box, MASK_COLOUR),
        ]
        rows.append(
            [
                panel(still, view, box, windows[0], lines=lines, heading=names[0]),
                panel(moved, view, box, windows[1], lines=lines, heading=names[1]),
                panel(mixed, view, box, (0.0, 1.0), heading=names[2]),
            ]
        )
    return draw_sheet(rows, path)


def synthesis_figure(
    sources: Sequence[Nifti1Image],
    synth: Nifti1Image,
    half: Nifti1Image,
    target: Nifti1Image | None,
    mask: Nifti1Image,
    path: Path,
    *,
    target_mask: Nifti1Image | None = None,
    ct: bool = False,
) -> Path:
    """Draw sources, synthesized image, where there is one the acquired image and the error, and the uncertainty.

    Synthesized and acquired image share one window, the acquired one's; uncertainty and error another, half as
    wide. Nothing outside the brain is shown, or of a CT outside the head and the air around it.

    Parameters
    ----------
    sources : sequence of Nifti1Image, shape (X, Y, Z)
        What the prediction was made from.
    synth : Nifti1Image, shape (X, Y, Z)
        The prediction, in normalized units; of a CT in Hounsfield units.
    half : Nifti1Image, shape (X, Y, Z)
        Half the width of the interval around it.
    target : Nifti1Image or None
        The acquired image, in the units of the prediction.
    mask : Nifti1Image, shape (X, Y, Z)
        Where an image was predicted, not empty.
    path : Path
        The SVG to write.
    target_mask : Nifti1Image, optional
        Where the acquired image has data; beyond it there is no error to show.
    ct : bool
        Prediction and target are in Hounsfield units, and shown in a bone window.

    Returns
    -------
    Path
        `path`.
    """
    brain = brain_of(mask)
    heads = [canonical(image) for image in (*sources, synth)]
    names = [f"source {n}" if len(sources) > 1 else "source" for n in range(1, len(heads))]
    columns = [
        (name, head, brain, grey_window(head.voxels, brain), "gray")
        for name, head in zip([*names, "synthesized"], heads, strict=True)
    ]
    known = brain if target_mask is None else brain & brain_of(target_mask)
    acquired = canonical(target) if target is not None and known.any() else None
    window = columns[-1][3] if acquired is None else grey_window(acquired.voxels, known)
    errors, units = (0.0, (window[1] - window[0]) / 2), "normalized units"
    if ct:
        window, errors, units = CT_WINDOW, CT_ERRORS, "HU"
    bar = Bar(errors, ERROR_COLOURS, f"uncertainty and error, {units}")
    columns[-1] = ("synthesized", heads[-1], brain, window, "gray")
    if acquired is not None:
        error = Head(np.abs(heads[-1].voxels - acquired.voxels), acquired.spacing)
        columns.append(("acquired", acquired, known, window, "gray"))
        columns.append(("absolute error", error, known, bar.window, ERROR_COLOURS))
    columns.append(("uncertainty", canonical(half), brain, bar.window, ERROR_COLOURS))
    box = bounding_box(brain, heads[0].spacing, margin=3.0)
    rows = [
        [
            panel(
                only_inside(head, region), view, box, window, colours=colours, heading=name if number == 0 else ""
            )
            for name, head, region, window, colours in columns
        ]
        for number, view in enumerate(views(brain, TWO_AXIAL))
    ]
    return draw_sheet(rows, path, bar)
