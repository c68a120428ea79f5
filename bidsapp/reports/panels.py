"""From heads to panels: views, outlines, checkerboards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.reports.canvas import Line, Panel
from bidsapp.reports.slices import Head, canonical, cut, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nibabel import Nifti1Image
    from numpy.typing import NDArray

    from bidsapp.reports.slices import Box, Plane

SQUARE = 20.0  # mm, edge of a checkerboard's square
SHORTEST_OUTLINE = 25.0  # mm; what is shorter is noise to the eye


@dataclass(frozen=True)
class View:
    """A slice of a plane."""

    plane: Plane
    index: int


def brain_of(mask: Nifti1Image) -> NDArray[np.bool_]:
    """Return a mask's voxels in canonical orientation, shape (X, Y, Z)."""
    return canonical(mask).voxels > 0.5


def views(brain: NDArray[np.bool_], counts: Sequence[tuple[Plane, int]]) -> list[View]:
    """Choose `count` slices of each plane."""
    return [View(plane, index) for plane, count in counts for index in spread(brain, plane, count)]


def panel(
    head: Head,
    view: View,
    box: Box,
    window: tuple[float, float],
    *,
    colours: str = "gray",
    lines: Sequence[Line] = (),
    heading: str = "",
) -> Panel:
    """Return the picture of one slice."""
    return Panel(
        pixels=cut(head.voxels, view.plane, view.index, box),
        size=box.size(view.plane, head.spacing),
        window=window,
        colours=colours,
        lines=lines,
        edges=(view.plane.left, view.plane.right),
        heading=heading,
    )


def outline(
    region: NDArray[np.bool_], spacing: tuple[float, float, float], view: View, box: Box, colour: str
) -> Line:
    """Return the outlines of a region in one slice, in mm from the box's lower left corner."""
    from skimage.measure import approximate_polygon, find_contours

    section = np.pad(cut(region.astype(np.float32), view.plane, view.index, box), 1)
    pixel = np.array([spacing[view.plane.across], spacing[view.plane.up]])
    curves = []
    for contour in find_contours(section, 0.5):
        # find_contours counts pixel centres from 0; the padding moved them by one.
        curve = approximate_polygon((contour[:, ::-1] - 0.5) * pixel, tolerance=0.25)
        if np.linalg.norm(np.diff(curve, axis=0), axis=1).sum() >= SHORTEST_OUTLINE:
            curves.append(curve)
    return Line(curves, colour)


def tissue_region(head: Head, brain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the brighter of the two classes that split a brain best (Otsu, doi:10.1109/TSMC.1979.4310076).

    The image is smoothed by 1 mm first: its outline shall follow ventricles and sulci, not noise.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.filters import threshold_otsu

    smooth = gaussian_filter(head.voxels, [1.0 / spacing for spacing in head.spacing])
    return brain & (smooth > threshold_otsu(smooth[brain]))


def checkerboard(first: Head, second: Head, windows: tuple[tuple[float, float], tuple[float, float]]) -> Head:
    """Mix two heads of one grid in cubes of `SQUARE` mm, each scaled to 0–1 by its window."""
    parity = np.zeros(first.voxels.shape, dtype=np.int64)
    for axis, (length, spacing) in enumerate(zip(first.voxels.shape, first.spacing, strict=True)):
        cube = np.floor(np.arange(length) * spacing / SQUARE).astype(np.int64)
        parity += np.expand_dims(cube, tuple(a for a in range(3) if a != axis))
    scaled = [
        np.clip((head.voxels - low) / (high - low), 0, 1)
        for head, (low, high) in zip((first, second), windows, strict=True)
    ]
    return Head(np.where(parity % 2 == 0, *scaled).astype(np.float32), first.spacing)


def only_inside(head: Head, region: NDArray[np.bool_]) -> Head:
    """Return the head with everything outside a region left black."""
    return Head(np.where(region, head.voxels, np.float32(np.nan)), head.spacing)
