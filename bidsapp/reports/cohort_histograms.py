"""Histograms of a cohort's brains before and after normalization: whether equal tissues have equal intensities."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from bidsapp.reports.curves import Curve, chart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# Reading an image takes some tenths of a second, and the lines of more visits would cover each other.
MOST_VISITS = 20
MOST_VOXELS = 50_000
BINS = 80
TAILS = 1.0  # percent of the voxels at either end that a drawing may leave out


class Normalized(NamedTuple):
    """A visit's image of one contrast before and after normalization, and where its brain is."""

    visit: str
    contrast: str
    before: Path
    after: Path
    mask: Path


@dataclass(frozen=True)
class Histograms:
    """Densities of visits' voxels over one range.

    Attributes
    ----------
    edges : ndarray, shape (bins + 1,)
        In units of the images.
    densities : mapping of str to ndarray, shape (bins,)
        Visit → density; its sum times the width of a bin is 1.
    """

    edges: NDArray[np.float64]
    densities: Mapping[str, NDArray[np.float64]]

    def disagreement(self) -> float | None:
        """Return the mean Jensen–Shannon divergence of all pairs of visits, bits; ``None`` of a single one.

        0 is the same histogram, 1 is two that share no intensity.
        """
        shares = np.array([density / density.sum() for density in self.densities.values()])
        pairs = [(a, b) for n, a in enumerate(shares) for b in shares[n + 1 :]]
        if not pairs:
            return None
        return float(np.mean([_entropy((a + b) / 2) - (_entropy(a) + _entropy(b)) / 2 for a, b in pairs]))


def _entropy(shares: NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())


def evenly(items: Sequence[Normalized], most: int = MOST_VISITS) -> list[Normalized]:
    """Return at most so many items, evenly chosen from a list in order."""
    if len(items) <= most:
        return list(items)
    return [items[round(n * (len(items) - 1) / (most - 1))] for n in range(most)]


def histograms(images: Sequence[Normalized]) -> tuple[Histograms, Histograms]:
    """Return the histograms of some visits' images of one contrast, before and after normalization.

    An image that cannot be read is left out: the level says so elsewhere.
    """
    before: dict[str, NDArray[np.float32]] = {}
    after: dict[str, NDArray[np.float32]] = {}
    for image in images:
        try:
            mask = np.asanyarray(nib.Nifti1Image.from_filename(image.mask).dataobj) > 0
            inside = np.flatnonzero(mask)[:: max(int(mask.sum()) // MOST_VOXELS, 1)]
            values = [_voxels(path, mask.shape, inside) for path in (image.before, image.after)]
        except (OSError, EOFError, ValueError, zlib.error, ImageFileError):
            continue
        if inside.size:
            before[image.visit], after[image.visit] = values
    return _histograms(before), _histograms(after)


def _voxels(path: Path, shape: tuple[int, ...], inside: NDArray[np.intp]) -> NDArray[np.float32]:
    voxels = np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj, np.float32)
    if voxels.shape != shape:
        raise ValueError(f"{path}: another grid than its mask's")
    return voxels.ravel()[inside]


def _histograms(voxels: Mapping[str, NDArray[np.float32]]) -> Histograms:
    """Count voxels over a range that holds nearly all of every visit's."""
    if not voxels:
        return Histograms(np.array([0.0, 1.0]), {})
    ends = np.array([np.percentile(values, (TAILS, 100 - TAILS)) for values in voxels.values()])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    return Histograms(edges, {visit: _density(values, edges) for visit, values in voxels.items()})


def _density(values: NDArray[np.float32], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a density, smoothed over three bins so that the noise of few voxels is not drawn."""
    counts, _ = np.histogram(values, edges)
    padded = np.pad(counts.astype(np.float64), 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    total = smooth.sum() * (edges[1] - edges[0])
    return smooth / total if total else smooth


def histogram_drawings(found: Mapping[str, tuple[Histograms, Histograms]]) -> list[dict[str, object]]:
    """Return the drawings of each contrast: before, after, and how far visits disagree in either.

    Parameters
    ----------
    found : mapping of str to (Histograms, Histograms)
        Contrast → from `histograms`.
    """
    drawn: list[dict[str, object]] = []
    for contrast, both in found.items():
        if not both[0].densities:
            continue
        pair = [
            (title, _drawing(part, f"{contrast} {title}", units), _bits(part.disagreement()))
            for part, title, units in zip(
                both,
                ("before normalization", "after normalization"),
                ("intensity, units of the images", "intensity, normalized units"),
                strict=True,
            )
        ]
        drawn.append({"contrast": contrast, "visits": len(both[0].densities), "pair": pair})
    return drawn


def _bits(disagreement: float | None) -> str:
    return "" if disagreement is None else f"{disagreement:.3f}"


def _drawing(part: Histograms, said: str, units: str) -> object:
    middles = (part.edges[:-1] + part.edges[1:]) / 2
    curves = [
        Curve(visit, list(zip(middles.tolist(), density.tolist(), strict=True)), 0, "thin")
        for visit, density in part.densities.items()
    ]
    return chart(curves, units, "density", f"Histograms of {said}, a line for each visit")
