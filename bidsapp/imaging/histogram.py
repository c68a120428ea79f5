"""How intensities are spread over the brain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import nibabel as nib

BINS = 80
# What lies beyond is single voxels: vessels, and what a mask took of skull and eyes.
TAIL_PERCENT = 0.2


def brain_histogram(image: nib.Nifti1Image, mask: nib.Nifti1Image) -> dict[str, Any]:
    """Return the histogram of an image inside a mask.

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        In any units.
    mask : Nifti1Image, shape (X, Y, Z)
        Brain mask on the same grid.

    Returns
    -------
    dict
        ``Low`` and ``High``, the ends of the first and the last bin in the units of the image; ``Density``, the
        share of voxels per unit in each bin, to four digits; ``Voxels``. Empty where the mask is.
    """
    values = np.asarray(image.dataobj, np.float64)[np.asarray(mask.dataobj) > 0]
    if not values.size:
        return {}
    low, high = np.percentile(values, (TAIL_PERCENT, 100 - TAIL_PERCENT))
    if high <= low:
        return {}
    counts, _ = np.histogram(values, BINS, (float(low), float(high)))
    density = counts / (values.size * (high - low) / BINS)
    return {
        "Low": float(f"{low:.6g}"),
        "High": float(f"{high:.6g}"),
        "Density": [float(f"{share:.4g}") for share in density],
        "Voxels": int(values.size),
    }
