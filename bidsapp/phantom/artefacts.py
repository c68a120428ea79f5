"""What spoils an image between the head and the noise of the receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHASE_AXIS = 1  # back to front, in which phase is mostly encoded


def blurred(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Smooth by a Gaussian of `sigma` voxels: filters of the scanner, and a head that does not lie quite still."""
    return ndimage.gaussian_filter(image, sigma) if sigma else image


def ghosted(image: NDArray[np.float32], strength: float, copies: int) -> NDArray[np.float32]:
    """Lay faint copies of the head over it, shifted along the phase axis, and as much weaker the head itself.

    Parameters
    ----------
    image : ndarray, shape (X, Y, Z)
        Magnitudes.
    strength : float
        Share of the signal that goes to the copies.
    copies : int
        Their number; they lie a field of view divided by one more apart, as when every so many lines differ.
    """
    if not strength:
        return image
    step = image.shape[PHASE_AXIS] // (copies + 1)
    ghosts = np.sum([np.roll(image, step * n, PHASE_AXIS) for n in range(1, copies + 1)], axis=0)
    return np.asarray((1 - strength) * image + strength / copies * ghosts, np.float32)
