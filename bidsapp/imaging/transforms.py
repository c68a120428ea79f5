"""Linear transforms between images, and their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from nibabel.affines import apply_affine

from bidsapp.errors import DataError
from bidsapp.imaging.itk import LPS
from bidsapp.text import read_text

if TYPE_CHECKING:
    from pathlib import Path

    import nibabel as nib
    from numpy.typing import NDArray


# Bytes of a file of one linear transform, comments included.
LARGEST = 1_000_000
# A file holds 12 digits, one of somebody else's perhaps 6.
RIGID_TOLERANCE = 1e-4
# ITK's transforms whose parameters are a 3 × 3 matrix and a shift.
MATRIX_TRANSFORMS = ("AffineTransform", "MatrixOffsetTransformBase")


@dataclass(frozen=True)
class LinearTransform:
    """A linear map between two spaces, rigid or affine.

    Attributes
    ----------
    matrix : ndarray, shape (4, 4)
        Maps points of the *fixed* image's space to points of the *moving* image's, RAS mm: the direction in
        which an image is resampled.
    """

    matrix: NDArray[np.float64]

    @property
    def inverse(self) -> LinearTransform:
        """The map from the moving image's space to the fixed image's."""
        return LinearTransform(np.asarray(np.linalg.inv(self.matrix), np.float64))

    @property
    def rotation_deg(self) -> float:
        """Angle of the rotation (polar decomposition), degrees."""
        u, _, v = np.linalg.svd(self.matrix[:3, :3])
        cosine = (np.trace(u @ v) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    @property
    def kind(self) -> str:
        """``Rigid`` or ``Affine``."""
        part = self.matrix[:3, :3]
        return "Rigid" if np.abs(part @ part.T - np.eye(3)).max() < RIGID_TOLERANCE else "Affine"

    @property
    def volume_ratio(self) -> float:
        """Volume of what is in the moving image over that on the fixed one's grid; 1 for a rigid transform."""
        return float(np.linalg.det(self.matrix[:3, :3]))

    def displacement_mm(self, point: NDArray[np.float64]) -> float:
        """Return how far a point of the fixed space is moved."""
        return float(np.linalg.norm(apply_affine(self.matrix, point) - point))


def mean_displacement(a: LinearTransform, b: LinearTransform, mask: nib.Nifti1Image) -> float:
    """Return the mean distance, over the voxels of a mask, between where two transforms put them; mm."""
    points = apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0))
    moved = [apply_affine(t.matrix, points) for t in (a, b)]
    return float(np.linalg.norm(moved[0] - moved[1], axis=1).mean())


def write_itk(transform: LinearTransform, path: Path) -> Path:
    """Write a transform as ITK text (LPS mm): the same transform, the same bytes."""
    matrix = LPS @ transform.matrix @ LPS
    numbers = [*matrix[:3, :3].ravel(), *matrix[:3, 3]]
    lines = (
        "#Insight Transform File V1.0",
        "#Transform 0",
        "Transform: AffineTransform_double_3_3",
        "Parameters: " + " ".join(f"{number:.12g}" for number in numbers),
        "FixedParameters: 0 0 0",
        "",
    )
    path.write_text("\n".join(lines), encoding="ascii")
    return path


def read_itk(path: Path) -> LinearTransform:
    """Read a linear ITK text transform, whatever its centre.

    Raises
    ------
    DataError
        The file is no ITK text file of one linear transform, by its matrix, in three dimensions.
    """
    try:
        lines = [line.partition(":") for line in read_text(path, LARGEST).split("\n")]
        (kind,) = (text.strip() for name, _, text in lines if name == "Transform")
        (parameters,), (centre,) = (
            [np.array(text.split(), float) for name, _, text in lines if name == wanted]
            for wanted in ("Parameters", "FixedParameters")
        )
        if not kind.startswith(MATRIX_TRANSFORMS) or not kind.endswith("_3_3"):
            raise ValueError(f"it is a {kind}")
        matrix = _matrix(parameters[:9].reshape(3, 3), parameters[9:].reshape(3), centre)
        if not np.isfinite(matrix).all() or np.linalg.det(matrix) <= 0:
            raise ValueError("its matrix turns space inside out or is not finite")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not the ITK text file of one linear transform: {error}",
            "write it as one AffineTransform, or run again without the --derivatives that it came from",
        ) from error
    return LinearTransform(matrix)


def from_ants(transform: object) -> LinearTransform:
    """Return what an ``ANTsTransform`` of ITK's linear kinds says, in RAS mm."""
    parameters = np.array(transform.parameters)  # type: ignore[attr-defined]
    centre = np.array(transform.fixed_parameters)  # type: ignore[attr-defined]
    return LinearTransform(_matrix(parameters[:9].reshape(3, 3), parameters[9:12], centre))


def _matrix(
    rotation: NDArray[np.float64], shift: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the RAS matrix of ``x → rotation (x − centre) + centre + shift`` in LPS."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = shift + centre - rotation @ centre
    return np.asarray(LPS @ matrix @ LPS)
