"""How one participant's head differs from the template's, and where an image's voxels lie in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bidsapp.phantom.variation import STANDARD, Variation, draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WARP_SMOOTHNESS_MM = 18.0
COARSE = 4  # voxels of the template for each voxel of the displacement field


@dataclass(frozen=True)
class Deformation:
    """From a participant's space to the template's: scaled and tilted, then displaced smoothly.

    Attributes
    ----------
    matrix : ndarray, shape (4, 4)
        Participant's RAS mm to template's RAS mm.
    displacement : ndarray, shape (3, X/4, Y/4, Z/4)
        In voxels (mm) of the template, on every fourth of them.
    """

    matrix: NDArray[np.float64]
    displacement: NDArray[np.float32]

    def sample(
        self,
        maps: Sequence[NDArray[np.float32]],
        template_affine: NDArray[np.float64],
        affine: NDArray[np.float64],
        shape: Sequence[int],
    ) -> NDArray[np.float32]:
        """Sample maps of the template on a grid of the participant, linearly; 0 outside. Shape (maps, X, Y, Z)."""
        to_index = np.linalg.inv(template_affine) @ self.matrix @ affine
        sampled = np.empty((len(maps), *shape), np.float32)
        j, k = np.indices(shape[1:], dtype=np.float32)
        for i in range(shape[0]):  # slab by slab, for the sake of memory
            points = to_index[:3, :3] @ np.stack([np.full(j.size, i), j.ravel(), k.ravel()]) + to_index[:3, 3:]
            shift = [
                ndimage.map_coordinates(d, points / COARSE, order=1, mode="nearest") for d in self.displacement
            ]
            points = points + np.stack(shift)
            for n, values in enumerate(maps):
                sampled[n, i] = ndimage.map_coordinates(values, points, order=1).reshape(shape[1:])
        return sampled


def draw_deformation(
    shape: Sequence[int], random: np.random.Generator, variation: Variation = STANDARD
) -> Deformation:
    """Draw a participant's head.

    Parameters
    ----------
    shape : sequence of int
        Of the template.
    random : Generator
        Source of random numbers.
    variation : Variation
        How far a head may differ.
    """
    coarse = [-(-n // COARSE) for n in shape]
    noise = random.standard_normal((3, *coarse))
    smooth = np.stack([ndimage.gaussian_filter(n, WARP_SMOOTHNESS_MM / COARSE) for n in noise])
    tilt = rigid(random.uniform(-variation.head_tilt_deg, variation.head_tilt_deg, 3), np.zeros(3))
    scale = np.diag([*1 / random.uniform(*variation.head_scale, 3), 1.0])
    warp = draw(variation.warp_mm, random)
    return Deformation(scale @ tilt, (smooth / smooth.std() * warp).astype(np.float32))


def rigid(degrees: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a rotation about x, then y, then z through the origin, and a translation; shape (4, 4)."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        turn = np.eye(4)
        a, b = [n for n in range(3) if n != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    matrix[:3, 3] = shift
    return matrix
