"""The common grid of a visit, and the one resampling that carries an image to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bidsapp.imaging.transforms import LinearTransform

# A Gaussian whose full width at half maximum makes up the difference between fine voxels and a coarse grid.
FWHM = np.sqrt(8 * np.log(2))


@dataclass(frozen=True)
class Grid:
    """A rectangular grid: voxel indices to RAS mm, and shape; `code` is the NIfTI code of its space."""

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    code: int = 1

    def image(self, data: NDArray[np.generic]) -> nib.Nifti1Image:
        """Return voxels on this grid as an image."""
        image = nib.Nifti1Image(data, self.affine)
        image.set_qform(self.affine, self.code)
        image.set_sform(self.affine, self.code)
        image.header.set_xyzt_units("mm", "sec")
        return image

    def to_json(self) -> dict[str, Any]:
        """Return what sidecars write."""
        return {"Shape": list(map(int, self.shape)), "Affine": self.affine.tolist(), "Code": self.code}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Grid:
        """Return the grid that a sidecar has; `KeyError`, `TypeError`, `ValueError`: it is none."""
        x, y, z = map(int, content["Shape"])
        return cls(np.array(content["Affine"], np.float64).reshape(4, 4), (x, y, z), int(content["Code"]))


def own_grid(image: nib.Nifti1Image) -> Grid:
    """Return the grid that an image is on."""
    return Grid(image.affine, image.shape, int(image.header["sform_code"]) or 1)


def visit_grid(reference: nib.Nifti1Image, resolution: str) -> Grid:
    """Return the grid that a resolution asks for: ``1`` or ``1,1,2`` (mm), or ``native``, the reference's own.

    Three edges are left-right, front-back and up-down, however the reference is stored.
    """
    if resolution == "native":
        return common_grid(reference, voxel_sizes(reference.affine))
    edges = np.array([float(edge) for edge in resolution.split(",")])
    if len(edges) == 3:
        edges = edges[nib.io_orientation(reference.affine)[:, 0].astype(int)]
    return common_grid(reference, edges)


def common_grid(reference: nib.Nifti1Image, spacing: float | NDArray[np.float64] = 1.0) -> Grid:
    """Return the rectangular grid over a reference image's field of view.

    Parameters
    ----------
    reference : Nifti1Image, shape (X, Y, Z)
        Its directions are kept: nothing is de-obliqued.
    spacing : float or ndarray, shape (3,)
        Voxel edges along the reference's axes, mm.

    Returns
    -------
    Grid
        The fields of view are concentric; the grid's is larger by less than a voxel.
    """
    sizes = voxel_sizes(reference.affine)
    shape = np.ceil(np.round(np.array(reference.shape) * sizes / spacing, 3)).astype(int)  # headers hold 7 digits
    affine = np.eye(4)
    affine[:3, :3] = reference.affine[:3, :3] / sizes * spacing
    centre = apply_affine(reference.affine, (np.array(reference.shape) - 1) / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid(affine, (int(shape[0]), int(shape[1]), int(shape[2])), int(reference.header["sform_code"]) or 1)


def resample(
    image: nib.Nifti1Image, grid: Grid, transform: LinearTransform | None = None, *, fill: float = 0.0
) -> nib.Nifti1Image:
    """Carry an image to a grid by one cubic B-spline interpolation.

    A spline overshoots at edges, so the result is clamped to the range of the image. Voxels much finer than the
    grid are averaged first by a Gaussian, against aliasing.

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        As acquired, bias-corrected.
    grid : Grid
        Where to.
    transform : LinearTransform or None
        Maps points of the grid's space to points of the image's.
    fill : float
        Value outside the image's field of view: 0, or that of air on a CT.

    Returns
    -------
    Nifti1Image, float32
        On the grid.
    """
    data = np.asarray(image.dataobj, np.float32)
    matrix = _index_map(image, grid, transform)
    values = ndimage.affine_transform(
        smoothed(image, grid, transform), matrix, output_shape=grid.shape, order=3, mode="nearest"
    )
    covered = np.asarray(field_of_view(image, grid, transform).dataobj) > 0
    clamped = np.clip(values, data.min(), data.max())
    return grid.image(np.where(covered, clamped, np.float32(fill)).astype(np.float32))


def field_of_view(image: nib.Nifti1Image, grid: Grid, transform: LinearTransform | None = None) -> nib.Nifti1Image:
    """Return where on a grid an image has voxels, uint8; `transform` as for `resample`."""
    matrix = _index_map(image, grid, transform)
    everywhere = np.ones(image.shape, np.uint8)
    return grid.image(
        ndimage.affine_transform(everywhere, matrix, output_shape=grid.shape, order=0, mode="grid-constant")
    )


def resample_mask(mask: nib.Nifti1Image, grid: Grid, transform: LinearTransform | None = None) -> nib.Nifti1Image:
    """Carry a mask to a grid: linear interpolation, cut at one half; uint8."""
    share = ndimage.affine_transform(
        (np.asarray(mask.dataobj) > 0).astype(np.float32),
        _index_map(mask, grid, transform),
        output_shape=grid.shape,
        order=1,
        mode="grid-constant",
    )
    return grid.image((share >= 0.5).astype(np.uint8))


def resample_within(
    image: nib.Nifti1Image, mask: nib.Nifti1Image, grid: Grid, *, fill: float = 0.0
) -> nib.Nifti1Image:
    """Carry an image that says something inside a mask only to a grid, by one cubic B-spline interpolation.

    Voxels outside the mask first take the value of the nearest one inside, so that its border is mixed with no
    background.

    Parameters
    ----------
    image, mask : Nifti1Image, shape (X, Y, Z)
        On one grid, in one space with `grid`; the mask is not empty.
    grid : Grid
        Where to.
    fill : float
        Value outside the mask, which is resampled as by `resample_mask`.

    Returns
    -------
    Nifti1Image, float32
    """
    outside = np.asarray(mask.dataobj) == 0
    nearest = ndimage.distance_transform_edt(outside, return_distances=False, return_indices=True)
    continued = nib.Nifti1Image(np.asarray(image.dataobj, np.float32)[tuple(nearest)], image.affine)
    inside = np.asarray(resample_mask(mask, grid).dataobj) > 0
    values = np.asarray(resample(continued, grid, fill=fill).dataobj)
    return grid.image(np.where(inside, values, np.float32(fill)))


def _index_map(image: nib.Nifti1Image, grid: Grid, transform: LinearTransform | None) -> NDArray[np.float64]:
    """Return the matrix from the grid's voxel indices to the image's."""
    world = np.eye(4) if transform is None else transform.matrix
    return np.asarray(np.linalg.inv(image.affine) @ world @ grid.affine)


def smoothed(image: nib.Nifti1Image, grid: Grid, transform: LinearTransform | None = None) -> NDArray[np.float32]:
    """Return an image's voxels, averaged by a Gaussian along its axes that are much finer than a grid's steps."""
    data = np.asarray(image.dataobj, np.float32)
    # By how many voxels along each of the image's axes the grid's neighbours are apart.
    ratios = np.linalg.norm(_index_map(image, grid, transform)[:3, :3], axis=1)
    sigmas = [float(np.sqrt(ratio**2 - 1) / FWHM) if ratio > 1.5 else 0.0 for ratio in ratios]
    return ndimage.gaussian_filter(data, sigmas) if any(sigmas) else data
