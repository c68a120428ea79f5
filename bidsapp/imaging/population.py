"""Intensity scales that are fitted to a population: what each image is like, the standard, and the way to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bidsapp.errors import DataError
from bidsapp.imaging.tissue import FLUID, GREY, WHITE
from bidsapp.scales import IntensityScale, LandmarkScale

if TYPE_CHECKING:
    from collections.abc import Sequence

    import nibabel as nib
    from numpy.typing import NDArray

    from bidsapp.scales import Scale

# Percentiles of the brain: Nyúl's deciles, and quartiles, which make the standard's units those of `robust`.
PERCENTILES = (1, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 99)
LOWER, MIDDLE, UPPER = (PERCENTILES.index(p) for p in (25, 50, 75))
TISSUES = (FLUID, GREY, WHITE)
MIN_VOXELS = 1000
# Landmarks nearer to each other than this share of their range, as those of whole numbers can be, are parted.
LEAST_STEP = 1e-4


def describe_image(
    method: str, image: nib.Nifti1Image, mask: nib.Nifti1Image, tissue: nib.Nifti1Image | None
) -> NDArray[np.float64]:
    """Return all that a population method reads of an image.

    Parameters
    ----------
    method : str
        ``nyul`` or ``lsq``.
    image, mask : Nifti1Image, shape (X, Y, Z)
        Preprocessed image and its brain mask on one grid.
    tissue : Nifti1Image or None
        Tissue classes of the visit's T1w on the same grid, for ``lsq``.

    Returns
    -------
    ndarray
        Shape (13,), landmarks (``nyul``), or (3,), the means of fluid, grey and white matter (``lsq``).

    Raises
    ------
    DataError
        The brain is empty or has one intensity, or a tissue is hardly there.
    """
    data, inside = np.asarray(image.dataobj, np.float32), np.asarray(mask.dataobj) > 0
    if method == "nyul":
        return _landmarks(data[inside])
    if tissue is None:
        raise DataError("lsq needs the tissue classes of the visit's T1w", "give --reference T1w")
    classes = np.asarray(tissue.dataobj)
    parts = [data[inside & (classes == label)] for label in TISSUES]
    if min(part.size for part in parts) < MIN_VOXELS:
        raise DataError("fluid, grey or white matter is hardly there", "look at the brain mask")
    return np.array([part.mean(dtype=np.float64) for part in parts])


def fit_standard(method: str, descriptions: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the standard of a population.

    Parameters
    ----------
    method : str
        - ``nyul``: the mean of the landmarks, each image's brought to a median of 0 and a quartile range of 1
          (Nyúl and Udupa 1999, doi:10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M; Nyúl et al.
          2000, doi:10.1109/42.836373);
        - ``lsq``: the mean of the vectors of tissue means, each brought to a white matter of 1 (Reinhold et al.
          2019, doi:10.1117/12.2513089).
    descriptions : sequence of ndarray
        From `describe_image`, one for each image.
    """
    if method == "nyul":
        scaled = [(d - d[MIDDLE]) / (d[UPPER] - d[LOWER]) for d in descriptions]
    else:
        scaled = [d / d[-1] for d in descriptions]
    return np.asarray(np.mean(scaled, axis=0))


def scale_to(method: str, standard: NDArray[np.float64], description: NDArray[np.float64]) -> Scale:
    """Return the scale that carries an image to the standard: by landmarks, or by the best factor."""
    if method == "nyul":
        return LandmarkScale(method, tuple(description.tolist()), tuple(standard.tolist()))
    return IntensityScale(method, 0.0, float(description @ description / (description @ standard)))


def _landmarks(inside: NDArray[np.float32]) -> NDArray[np.float64]:
    if inside.size == 0:
        raise DataError("the brain mask is empty on the common grid", "look at the registration")
    found = np.percentile(inside.astype(np.float64), PERCENTILES)
    step = LEAST_STEP * (found[-1] - found[0])
    if not step > 0:
        raise DataError("nyul: the brain has one intensity", "look at the image")
    ranks = np.arange(len(found)) * step
    return np.asarray(np.maximum.accumulate(found - ranks) + ranks)
