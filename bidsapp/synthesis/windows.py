"""Where windows lie on a volume, and with what weight each voxel of a window counts."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Windows:
    """Windows along one axis.

    Attributes
    ----------
    starts : tuple of int
        First voxel of each, multiples of the network's stride: so a voxel meets the coarser levels at the same
        phase in every window.
    edge : int
        Their length, a multiple of the stride. The last ends where the axis does, rounded up to the stride: the
        border of the volume is where it is for any other choice of windows.
    weights : ndarray, shape (windows, edge), float32
        Of each voxel of each window; at every voxel of the axis they add up to 1.
    """

    starts: tuple[int, ...]
    edge: int
    weights: NDArray[np.float32]


def cut_axis(length: int, windows: int, overlap: int, stride: int) -> Windows:
    """Cover an axis by about so many windows.

    Parameters
    ----------
    length : int
        Voxels of the axis.
    windows : int
        How many to aim at; rounding to the stride may do with fewer.
    overlap : int
        Voxels that two neighbours share, a multiple of `stride`.
    stride : int
        See `Windows`.

    Returns
    -------
    Windows
    """
    edge = _edge(length, windows, overlap, stride)
    last = stride * math.ceil(length / stride) - edge
    starts = (*range(0, last, max(1, edge - overlap)), last)
    return Windows(starts, edge, _weights(starts, edge, length, overlap))


def cut(shape: Sequence[int], most: int, overlap: Sequence[int], stride: Sequence[int]) -> tuple[Windows, ...]:
    """Cover a volume by windows of at most so many voxels, so that the fewest voxels are computed twice.

    Parameters
    ----------
    shape : sequence of int
        Of the volume.
    most : int
        Voxels of a window; more only where overlap and stride leave no choice.
    overlap, stride : sequence of int
        Of each axis; see `cut_axis`.

    Returns
    -------
    tuple of Windows
        One for each axis; every combination of them is a window.
    """
    axes = list(zip(shape, overlap, stride, strict=True))
    choices = [_choices(*axis) for axis in axes]
    edges = {c: math.prod(edge for _, edge in c) for c in itertools.product(*choices)}
    fitting = [c for c, voxels in edges.items() if voxels <= most] or [min(edges, key=edges.__getitem__)]
    best = min(fitting, key=lambda c: (math.prod(n * edge for n, edge in c), math.prod(n for n, _ in c)))
    return tuple(
        cut_axis(length, n, shared, step) for (length, shared, step), (n, _) in zip(axes, best, strict=True)
    )


def boxes(axes: Sequence[Windows]) -> Iterator[tuple[tuple[slice, ...], NDArray[np.float32]]]:
    """Yield every window as slices, which may reach beyond the volume, with its weights ``(X, Y, Z)``."""
    for picked in itertools.product(*(range(len(axis.starts)) for axis in axes)):
        box = tuple(slice(a.starts[i], a.starts[i] + a.edge) for a, i in zip(axes, picked, strict=True))
        x, y, z = (axis.weights[i] for axis, i in zip(axes, picked, strict=True))
        yield box, x[:, None, None] * y[:, None] * z


def _edge(length: int, windows: int, overlap: int, stride: int) -> int:
    return stride * math.ceil((length + (windows - 1) * overlap) / windows / stride)


def _choices(length: int, overlap: int, stride: int) -> list[tuple[int, int]]:
    """Return numbers of windows with their edge, while more windows are smaller windows, none within the next."""
    choices = [(1, _edge(length, 1, overlap, stride))]
    for windows in range(2, length):
        edge = _edge(length, windows, overlap, stride)
        if edge < max(2 * overlap, overlap + stride):
            break
        if edge < choices[-1][1]:
            choices.append((windows, edge))
    return choices


def _weights(starts: Sequence[int], edge: int, length: int, overlap: int) -> NDArray[np.float32]:
    """Return weights that rise over the overlap as a Gaussian does, and are even in between.

    The standard deviation is a quarter of the overlap: at its own border, where it sees padding instead of the
    brain beyond, a window counts some thousandth of its neighbour. The border of the volume is no such border.
    """
    voxels = np.arange(edge) + 0.5
    raw = np.empty((len(starts), edge))
    total = np.zeros(starts[-1] + edge)
    for i, start in enumerate(starts):
        left = voxels if start > 0 else np.inf
        right = edge - voxels if start + edge < length else np.inf
        depth = np.minimum(np.minimum(left, right) / max(overlap, 1), 1)
        raw[i] = np.exp(-8 * (1 - depth) ** 2)
        total[start : start + edge] += raw[i]
    return np.stack([w / total[s : s + edge] for s, w in zip(starts, raw, strict=True)]).astype(np.float32)
