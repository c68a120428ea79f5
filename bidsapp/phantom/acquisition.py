"""What a scanner makes of a head: slices, bias field, noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bidsapp.phantom.constants import SCANNER_UNITS
from bidsapp.phantom.deformation import rigid
from bidsapp.phantom.variation import STANDARD, Span, Variation, draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIELD_OF_VIEW_MM = (184.0, 220.0, 208.0)
CENTRE_MM = (0.0, -16.0, -6.0)


@dataclass(frozen=True)
class Protocol:
    """Where one image lies: its grid, and the motion since the reference.

    Attributes
    ----------
    affine : ndarray, shape (4, 4)
        Voxel indices to RAS mm of the scanner.
    shape : tuple of int
        Voxels.
    sub_slices : int
        Samples that are averaged into each slice.
    motion : ndarray, shape (4, 4)
        Maps points of the reference's space to points of this image's.
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    sub_slices: int
    motion: NDArray[np.float64]


def draw_protocol(
    resolution: float, random: np.random.Generator, *, reference: bool, variation: Variation = STANDARD
) -> Protocol:
    """Draw the grid of an image: unmoved for the reference, else mostly of thick axial slices, and moved."""
    edge = resolution * draw(variation.edge, random)
    motion = np.eye(4)
    if reference:
        thickness = edge * draw(variation.reference_slice, random)
    else:
        spans = variation.slices_mm
        thickness = max(edge, draw(spans[0 if len(spans) == 1 else random.integers(len(spans))], random))
        deg, mm = variation.motion_deg, variation.motion_mm
        motion = rigid(random.uniform(-deg, deg, 3), random.uniform(-mm, mm, 3))
    spacing = np.array([edge, edge, thickness])
    sub_slices = max(1, round(thickness / edge))
    shape = tuple(int(n) for n in np.ceil(np.array(FIELD_OF_VIEW_MM) / spacing))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.array(CENTRE_MM) - spacing * (np.array(shape) - 1) / 2
    return Protocol(affine, (shape[0], shape[1], shape[2]), sub_slices, motion)


def sub_slice_grid(protocol: Protocol) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Return affine and shape of the fine grid whose samples are averaged into slices."""
    n = protocol.sub_slices
    fine = np.diag([1, 1, 1 / n, 1.0])
    fine[2, 3] = (1 / n - 1) / 2
    return protocol.affine @ fine, (*protocol.shape[:2], protocol.shape[2] * n)


def average_slices(values: NDArray[np.float32], protocol: Protocol) -> NDArray[np.float32]:
    """Average the samples of each slice: a rectangular slice profile."""
    return np.asarray(values.reshape(*protocol.shape, protocol.sub_slices).mean(-1), np.float32)


def draw_bias(
    brain: NDArray[np.bool_],
    affine: NDArray[np.float64],
    random: np.random.Generator,
    peak: Span = STANDARD.bias,
) -> NDArray[np.float32]:
    """Draw a smooth positive field with geometric mean 1 in the brain, departing from 1 by `peak` at most.

    The sum of a few low spatial frequencies, in the logarithm.
    """
    points = [np.arange(n) * affine[a, a] / 200.0 for a, n in enumerate(brain.shape)]
    log_field = np.zeros(brain.shape)
    for _ in range(5):
        frequency = random.uniform(-0.7, 0.7, 3)
        phase = sum(
            (f * p).reshape([-1 if a == axis else 1 for a in range(3)])
            for axis, (f, p) in enumerate(zip(frequency, points, strict=True))
        )
        log_field += random.standard_normal() * np.cos(2 * np.pi * (phase + random.uniform()))
    log_field -= log_field[brain].mean()
    log_field *= np.log1p(random.uniform(*peak)) / np.abs(log_field[brain]).max()
    return np.exp(log_field).astype(np.float32)


def add_noise(
    image: NDArray[np.float32], white_matter: float, random: np.random.Generator, snr: Span = STANDARD.snr
) -> NDArray[np.float32]:
    """Add Rician noise: the magnitude of the signal and two independent normal errors.

    After Gudbjartsson and Patz 1995, doi:10.1002/mrm.1910340618.

    Parameters
    ----------
    image : ndarray, shape (X, Y, Z)
        Noise-free magnitudes.
    white_matter : float
        White matter's signal, which the signal-to-noise ratio counts.
    random : Generator
        Source of random numbers.
    snr : (float, float)
        Range of that ratio.
    """
    sigma = white_matter / random.uniform(*snr)
    real, imaginary = random.standard_normal((2, *image.shape), dtype=np.float32) * np.float32(sigma)
    return np.hypot(image + real, imaginary)


def draw_gain(white_matter: float, random: np.random.Generator) -> float:
    """Draw the factor to a scanner's arbitrary units; it differs from image to image."""
    return float(SCANNER_UNITS * random.uniform(0.3, 0.7) / white_matter)


def blur(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Soften a mask by half a voxel, so that its warped edge is placed between voxels."""
    return ndimage.gaussian_filter(mask.astype(np.float32), 0.5)
