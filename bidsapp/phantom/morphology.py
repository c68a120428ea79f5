"""How the tissues of a randomized head differ from the template's, other than by its deformation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bidsapp.phantom.variation import Span, draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bidsapp.phantom.anatomy import Head

# A template is a mean of many brains: its cortex is blurred, and a higher power of its fractions less so.
CRISPNESS: Span = (1.0, 3.0)
ATROPHY: Span = (0.6, 1.8)  # weight of fluid, and below it of grey against white matter
CORTEX: Span = (0.7, 1.4)
PATCHES: Span = (0.0, 0.25)  # most of white matter that is as grey as cortex, somewhere
PATCH_MM: Span = (4.0, 15.0)
# Box of the nuclei below the cortex, mm of the template: right and left, back and front, below and above.
NUCLEI_MM = ((-33.0, 33.0), (-36.0, 24.0), (-13.0, 21.0))
NUCLEI_BORDER_MM = 3.0


def varied(head: Head, random: np.random.Generator) -> Head:
    """Return a head with sharper tissues, other amounts of fluid and cortex, uneven white matter, and nuclei.

    Parameters
    ----------
    head : Head
        The template's.
    random : Generator
        Source of random numbers.

    Returns
    -------
    Head
        ``deep`` is among its fractions: grey matter of the nuclei.
    """
    fractions = dict(head.fractions)
    power = draw(CRISPNESS, random)
    weights = {"csf": draw(ATROPHY, random), "gm": draw(CORTEX, random), "wm": 1.0}
    brain = sum(fractions[name] for name in weights)
    some = np.maximum(brain, 1e-6)
    raised = [weight * (fractions[name] / some) ** power for name, weight in weights.items()]
    total = np.maximum(sum(raised), 1e-6)
    csf, grey, white = (brain * part / total for part in raised)
    patches = draw(PATCHES, random) * white * _field(white.shape, draw(PATCH_MM, random), random)
    deep = grey * _nuclei(head)
    parts = {"csf": csf, "gm": grey - deep + patches, "wm": white - patches, "deep": deep}
    fractions.update({name: np.asarray(part, np.float32) for name, part in parts.items()})
    return replace(head, fractions=fractions)


def _field(shape: tuple[int, ...], sigma: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Return a smooth field between 0 and 1: half of it 0."""
    coarse = max(1, int(sigma // 2))
    noise = random.standard_normal([-(-n // coarse) for n in shape], dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, sigma / coarse)
    grid = np.meshgrid(*(np.arange(n, dtype=np.float32) / coarse for n in shape), indexing="ij")
    fine = ndimage.map_coordinates(smooth, grid, order=1, mode="nearest")
    return np.clip(fine / fine.max(), 0, 1)


def _nuclei(head: Head) -> NDArray[np.float32]:
    """Return 1 where grey matter is that of the nuclei below the cortex, 0 far from them; shape (X, Y, Z)."""
    inside = np.ones(head.brain.shape, np.float32)
    for axis, (low, high) in enumerate(NUCLEI_MM):
        edge = head.affine[axis, axis]
        mm = np.arange(inside.shape[axis]) * edge + head.affine[axis, 3]
        soft = ndimage.gaussian_filter1d(((low < mm) & (mm < high)).astype(np.float32), NUCLEI_BORDER_MM / edge)
        inside *= soft.reshape([-1 if a == axis else 1 for a in range(3)])
    return inside
