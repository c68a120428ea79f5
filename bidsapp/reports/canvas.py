"""Rows of pictures on one sheet, written as an SVG whose bytes depend on nothing but the pictures."""

from __future__ import annotations

import base64
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.bids.sink import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

WIDTH = 10.0  # inches; the page scales it
GAP = 0.05
STRIP = 0.3  # height of a line of headings
MAX_ROW = 4.2
RESOLUTION = 120  # pixels per inch of the embedded pictures: at least one per mm, and files stay small
JPEG_QUALITY = 85  # no artefact is visible at twice the size
INK = "#d8d8d8"
_EMBEDDED = re.compile(r"data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)")


@dataclass(frozen=True)
class Line:
    """Outlines on a picture: closed curves of (across, up) in mm, and their colour."""

    curves: Sequence[NDArray[np.float64]]
    colour: str


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes
    ----------
    pixels : ndarray, shape (height, width)
        Bottom row first.
    size : (float, float)
        Width and height, mm.
    window : (float, float)
        Values shown as the first and the last colour.
    colours : str
        Name of matplotlib's colour map.
    lines : sequence of Line
        Outlines.
    edges : (str, str)
        Letters of the left and right edge.
    heading : str
        Shown above the picture.
    """

    pixels: NDArray[np.float32]
    size: tuple[float, float]
    window: tuple[float, float]
    colours: str = "gray"
    lines: Sequence[Line] = ()
    edges: tuple[str, str] = ("", "")
    heading: str = ""


@dataclass(frozen=True)
class Bar:
    """A colour bar below the last column: its colours, range and label."""

    window: tuple[float, float]
    colours: str
    label: str


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw with our settings whatever a user's matplotlibrc says; leaves matplotlib as it was."""
    import matplotlib as mpl

    settings = {
        "svg.fonttype": "none",  # text stays text: sharp, small, readable by machines
        "svg.hashsalt": "synthprep",  # element identifiers repeat
        "svg.image_inline": True,
        "font.family": "sans-serif",
        "font.size": 9.0,
        "image.composite_image": True,
    }
    with mpl.rc_context(settings):
        yield


def save_svg(figure: Figure, path: Path) -> Path:
    """Write a figure; the same figure gives the same bytes."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": "SynthPrep"}
    FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)
    return write_text(_EMBEDDED.sub(_as_jpeg, buffer.getvalue()), path)


def _as_jpeg(match: re.Match[str]) -> str:
    """Turn an embedded RGBA PNG, all that matplotlib writes, into a JPEG of a quarter of its size."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(match[1]))) as picture:
        opaque = Image.new("RGBA", picture.size, "black")
        opaque.alpha_composite(picture.convert("RGBA"))
    buffer = io.BytesIO()
    colours = opaque.convert("RGB")
    red, green, blue = colours.split()
    grey = red.tobytes() == green.tobytes() == blue.tobytes()
    (red if grey else colours).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def draw_sheet(rows: Sequence[Sequence[Panel]], path: Path, bar: Bar | None = None) -> Path:
    """Lay rows of panels out on a black sheet, every row as wide as the sheet, and write it.

    Parameters
    ----------
    rows : sequence of sequences of Panel
        Panels of a row have the same size in mm, so that columns align.
    path : Path
        The SVG to write.
    bar : Bar, optional
        Colour bar below the last column.

    Returns
    -------
    Path
        `path`.
    """
    from matplotlib.figure import Figure

    with plain_style():
        sizes = [_panel_size(row) for row in rows]
        strips = [STRIP if any(panel.heading for panel in row) else 0.0 for row in rows]
        foot = 0.6 if bar else 0.0
        height = sum(h for _, h in sizes) + sum(strips) + GAP * len(rows) + foot
        figure = Figure(figsize=(WIDTH, height), dpi=RESOLUTION, facecolor="black")
        top = height
        for row, (w, h), strip in zip(rows, sizes, strips, strict=True):
            top -= strip + h
            left = (WIDTH - len(row) * w - GAP * (len(row) - 1)) / 2
            for column, panel in enumerate(row):
                place = (left + column * (w + GAP), top, w, h)
                _draw_panel(_axes(figure, place), panel)
            top -= GAP
        if bar is not None:
            _draw_bar(_axes(figure, (place[0] + 0.1, foot - 0.25, w - 0.2, 0.12)), bar)
        return save_svg(figure, path)


def _panel_size(row: Sequence[Panel]) -> tuple[float, float]:
    """Return width and height of a row's panels, inches."""
    wide, high = row[0].size
    width = (WIDTH - GAP * (len(row) - 1)) / len(row)
    width = min(width, MAX_ROW * wide / high)
    return width, width * high / wide


def _axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Add axes at (left, bottom, width, height) in inches."""
    across, up = figure.get_size_inches()
    left, bottom, width, height = place
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _draw_panel(axes: Axes, panel: Panel) -> None:
    wide, high = panel.size
    axes.set_axis_off()
    axes.imshow(
        panel.pixels,
        cmap=panel.colours,
        vmin=panel.window[0],
        vmax=panel.window[1],
        extent=(0, wide, 0, high),
        origin="lower",
        interpolation="bilinear",
        aspect="auto",
    )
    for line in panel.lines:
        for curve in line.curves:
            axes.plot(curve[:, 0], curve[:, 1], color=line.colour, linewidth=0.8)
    axes.set_xlim(0, wide)
    axes.set_ylim(0, high)
    for x, letter, side in ((0.02, panel.edges[0], "left"), (0.98, panel.edges[1], "right")):
        if letter:
            shade = {"facecolor": "black", "alpha": 0.55, "pad": 1.0, "linewidth": 0}  # bone and fields are light
            axes.text(x, 0.02, letter, transform=axes.transAxes, color=INK, ha=side, va="bottom", bbox=shade)
    if panel.heading:
        axes.text(0.5, 1.02, panel.heading, transform=axes.transAxes, color=INK, ha="center", va="bottom")


def _draw_bar(axes: Axes, bar: Bar) -> None:
    """Draw the bar as a picture of two hundred steps; matplotlib's own needs a mesh of as many paths."""
    axes.imshow(
        np.linspace(0, 1, 200)[None, :],
        cmap=bar.colours,
        extent=(*bar.window, 0, 1),
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_yticks([])
    axes.tick_params(colors=INK, labelsize=8)
    axes.set_title(
        bar.label, color=INK, fontsize=9, pad=3, loc="right"
    )  # where it is too long, there is room at the left
    for spine in axes.spines.values():
        spine.set_visible(False)
