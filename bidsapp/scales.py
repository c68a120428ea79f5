"""Intensity scales: how the numbers of an image become those that a network reads, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

Number = TypeVar("Number", float, "np.ndarray")


@dataclass(frozen=True)
class IntensityScale:
    """An affine intensity scale, ``z = (x − offset) / scale``.

    Attributes
    ----------
    method : str
        How offset and scale were found, e.g. ``robust``.
    offset, scale : float
        In units of the image; ``scale`` is positive.
    """

    method: str
    offset: float
    scale: float

    def forward(self, x: Number) -> Number:
        """Map image units to normalized units."""
        return (x - self.offset) / self.scale

    def inverse(self, z: Number) -> Number:
        """Map normalized units back to image units."""
        return z * self.scale + self.offset

    def to_json(self) -> dict[str, Any]:
        """Return what sidecars and bundles write."""
        return {"Method": self.method, "Offset": self.offset, "Scale": self.scale}


@dataclass(frozen=True)
class LandmarkScale:
    """An intensity scale made of straight pieces between landmarks, which go on beyond the outer ones.

    Attributes
    ----------
    method : str
        How the landmarks were found, ``nyul``.
    landmarks : tuple of float
        In units of the image; they rise.
    standard : tuple of float
        Where each of them is mapped; they rise, too.
    """

    method: str
    landmarks: tuple[float, ...]
    standard: tuple[float, ...]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Map image units to normalized units."""
        return _piecewise(x, self.landmarks, self.standard)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Map normalized units back to image units."""
        return _piecewise(z, self.standard, self.landmarks)

    def to_json(self) -> dict[str, Any]:
        """Return what sidecars and bundles write."""
        return {"Method": self.method, "Landmarks": list(self.landmarks), "Standard": list(self.standard)}


Scale = IntensityScale | LandmarkScale


def zero_of(scale: Scale) -> float:
    """Return the normalized value of no signal, which is air on MR."""
    import numpy as np

    return float(scale.forward(np.zeros(1))[0])


def scale_from_json(content: Mapping[str, Any]) -> Scale:
    """Return the scale that a sidecar or a bundle has; `KeyError`, `TypeError`, `ValueError`: it is none."""
    method = str(content["Method"])
    if "Landmarks" in content:
        landmarks, standard = (tuple(map(float, content[name])) for name in ("Landmarks", "Standard"))
        return LandmarkScale(method, landmarks, standard)
    return IntensityScale(method, float(content["Offset"]), float(content["Scale"]))


def _piecewise(values: np.ndarray, xs: tuple[float, ...], ys: tuple[float, ...]) -> np.ndarray:
    import numpy as np

    values = np.asarray(values, np.float64)
    slope = (ys[-1] - ys[0]) / (xs[-1] - xs[0])
    beyond = np.minimum(values - xs[0], 0) + np.maximum(values - xs[-1], 0)
    return np.asarray(np.interp(values, xs, ys) + slope * beyond)


@dataclass(frozen=True)
class Population:
    """What a normalization learned from a cohort.

    Attributes
    ----------
    method : str
        ``nyul``, ``lsq`` or ``ravel``.
    numbers : Mapping of str to ndarray
        Named as its method needs them; they travel in the bundle.
    """

    method: str
    numbers: Mapping[str, np.ndarray]
