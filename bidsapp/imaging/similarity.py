"""How much two images say about each other where they lie, quick enough to search with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from nibabel.affines import apply_affine
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from bidsapp.imaging.grid import common_grid, resample, resample_mask
from bidsapp.imaging.transforms import LinearTransform

if TYPE_CHECKING:
    import nibabel as nib
    from numpy.typing import NDArray

POINT_SPACING_MM = 3.0
MOVING_SPACING_MM = 2.0
# The rim of the brain: without it, tissue inside says little about shifts along the surface.
RIM_MM = 6.0
BINS = 32
# Fewer points than this share of the brain inside the moving field of view, and the rest proves nothing.
MIN_COVERED = 0.3
# A turn by 1 mm / LEVER moves a point at the surface of the brain by 1 mm: one unit for turns and shifts.
LEVER_MM = 60.0


@dataclass(frozen=True)
class Refined:
    """The best transform near another one.

    Attributes
    ----------
    transform : LinearTransform
        Where the search ended.
    similarity : float
        Normalized mutual information there.
    moved_mm : float
        Mean distance over the brain between where the two transforms put a point.
    """

    transform: LinearTransform
    similarity: float
    moved_mm: float


class Similarity:
    """Normalized mutual information of two images as a function of the transform between them.

    ``(H(a) + H(b)) / H(a, b)`` (Studholme et al. 1999, doi:10.1016/S0031-3203(98)00091-0) at the points of a 3 mm
    grid in the fixed image's brain and its rim: 1 for unrelated images, 2 for identical ones.

    Parameters
    ----------
    fixed, moving : Nifti1Image, shape (X, Y, Z)
        Each on its own grid.
    mask : Nifti1Image
        Brain mask in the fixed image's space, on any grid.
    """

    def __init__(self, fixed: nib.Nifti1Image, moving: nib.Nifti1Image, mask: nib.Nifti1Image) -> None:
        grid = common_grid(fixed, POINT_SPACING_MM)
        brain = np.asarray(resample_mask(mask, grid).dataobj) > 0
        rim = ndimage.binary_dilation(brain, iterations=round(RIM_MM / POINT_SPACING_MM))
        self.points: NDArray[np.float64] = apply_affine(grid.affine, np.argwhere(rim))
        self.centre: NDArray[np.float64] = apply_affine(grid.affine, np.argwhere(brain)).mean(axis=0)
        self._fixed = _bins(np.asarray(resample(fixed, grid).dataobj)[rim])
        coarse = resample(moving, common_grid(moving, MOVING_SPACING_MM))
        self._moving = _bins(np.asarray(coarse.dataobj)).astype(np.float32)
        self._to_voxels = np.linalg.inv(coarse.affine)

    def __call__(self, transform: LinearTransform) -> float:
        """Return the similarity at a transform from the fixed image's space to the moving image's."""
        voxels = apply_affine(self._to_voxels @ transform.matrix, self.points)
        inside = ((voxels >= 0) & (voxels <= np.array(self._moving.shape) - 1)).all(axis=1)
        if inside.mean() < MIN_COVERED:
            return 1.0
        values = ndimage.map_coordinates(self._moving, voxels[inside].T, order=1)
        joint = np.bincount(self._fixed[inside] * BINS + np.rint(values).astype(np.intp), minlength=BINS**2)
        return normalized_information(joint.reshape(BINS, BINS))

    def refine(self, transform: LinearTransform, *, scaled: bool = False) -> Refined:
        """Search for the best correction of a transform (Powell's method): rigid, or with three scales."""
        count, reach_mm = (9, 4.0) if scaled else (6, 2.0)
        found = optimize.minimize(
            lambda p: -self(self.corrected(transform, p)),
            np.zeros(count),
            method="Powell",
            options={
                "xtol": 0.05,
                "ftol": 1e-5,
                "direc": np.eye(count) * reach_mm,
                "maxfev": 1500 if scaled else 600,
            },
        )
        best = self.corrected(transform, found.x)
        return Refined(best, float(-found.fun), self.distance_mm(transform, best))

    def corrected(self, transform: LinearTransform, step: NDArray[np.float64]) -> LinearTransform:
        """Return a transform after a turn about the brain's centre, a shift and scales, if given; all in mm."""
        motion = np.eye(4)
        motion[:3, :3] = Rotation.from_rotvec(step[:3] / LEVER_MM).as_matrix()
        if len(step) > 6:
            motion[:3, :3] *= 1 + step[6:] / LEVER_MM
        motion[:3, 3] = self.centre - motion[:3, :3] @ self.centre + step[3:6]
        return LinearTransform(transform.matrix @ motion)

    def distance_mm(self, a: LinearTransform, b: LinearTransform) -> float:
        """Return the mean distance between where two transforms put the points of the brain."""
        apart = apply_affine(a.matrix, self.points) - apply_affine(b.matrix, self.points)
        return float(np.linalg.norm(apart, axis=1).mean())


def normalized_information(joint: NDArray[np.integer]) -> float:
    """Return the normalized mutual information of a joint histogram; 1 where one image is constant."""
    p = joint / joint.sum()
    together = _entropy(p.ravel())
    return float((_entropy(p.sum(0)) + _entropy(p.sum(1))) / together) if together > 0 else 1.0


def _entropy(p: NDArray[np.float64]) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def _bins(values: NDArray[np.float32]) -> NDArray[np.intp]:
    low, high = np.percentile(values, (1, 99))
    scaled = (values - low) / max(high - low, np.finfo(np.float32).tiny)
    return np.asarray(np.clip(scaled * BINS, 0, BINS - 1), np.intp)
