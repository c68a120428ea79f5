"""Quality numbers of one image, as MRIQC defines them (Esteban et al. 2017, doi:10.1371/journal.pone.0184661).

The formulas are those of MRIQC 24. Its probability maps of tissues are our classes, weights of 0 or 1; its hat of
air above the nose is our air, all around the head; it works on the grid of the scan, we on the visit's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bidsapp.imaging.grid import own_grid, resample_mask
from bidsapp.imaging.itk import like
from bidsapp.imaging.tissue import FLUID, GREY, WHITE

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Air is what lies this far outside the head; ghosts and blurring reach a few millimetres.
AIR_MARGIN_MM = 8.0
MIN_VOXELS = 1000
# Air with less than this share of the head's energy was set to zero by somebody: it tells nothing.
SILENT_AIR = 1e-8
HEAD_SHARE = 0.25
BIAS_SMOOTHING_MM = 12.0
# Voxels this far apart tell as much about air, the head's outline and a smooth field as all of them.
THINNED_MM = 2.0
# The median absolute deviation of a normal distribution over its standard deviation.
NORMAL_MAD = 0.6744897501960817
# MRIQC's: the intensity that stands for the brightest, and the smallest frame that is one, voxels.
BRIGHTEST_PERCENT = 99.95
MIN_FRAME = 500
# Thick clinical slices leave up to 65 cm² of a whole brain on the faces (13 scans of the test data: 1 % of it lies
# beyond either face). At 100 cm² on one face, a tenth of an adult's brain is missing.
MAX_EDGE_CONTACT_CM2 = 100.0
# Smaller than any newborn's, larger than any adult's skull holds.
LIKELY_BRAIN_ML = (250.0, 2200.0)


def image_quality(image: nib.Nifti1Image, tissue: nib.Nifti1Image, view: nib.Nifti1Image) -> dict[str, float]:
    """Measure contrast, noise, blur and what is left of the bias field of an MR image.

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        Preprocessed, on the common grid.
    tissue : Nifti1Image, shape (X, Y, Z)
        Tissue classes of the visit's T1w.
    view : Nifti1Image, shape (X, Y, Z)
        Where the image was acquired, from `acquired`. Zeros inside count.

    Returns
    -------
    dict
        ``cjv``, ``cnr``, ``snr``, ``efc``, ``fber``, ``wm2max``, ``residual_bias``; without what cannot be
        measured, where an image has no air (skull-stripped or masked) or a tissue hardly any voxel.
    """
    data, classes = np.maximum(np.asarray(image.dataobj, np.float64), 0), np.asarray(tissue.dataobj)
    seen = np.asarray(view.dataobj) > 0
    parts = {label: data[(classes == label) & seen] for label in (FLUID, GREY, WHITE)}
    if min(part.size for part in parts.values()) < MIN_VOXELS:
        return {}
    white, grey = parts[WHITE], parts[GREY]
    contrast = max(abs(float(np.median(white) - np.median(grey))), 1e-9)
    return {
        "cjv": (_deviation(white) + _deviation(grey)) / contrast,
        "snr": float(np.mean([np.median(part) / part.std(ddof=1) for part in parts.values()])),
        "efc": entropy_focus(data[seen]),
        "wm2max": float(np.median(white) / np.percentile(data[seen], BRIGHTEST_PERCENT)),
        "residual_bias": _residual_bias(*map(_thinned, (image, tissue, view))),
        **_over_air(_thinned(image), _thinned(view), contrast, float(white.var() + grey.var())),
    }


def acquired(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return what of an image was acquired, uint8: all but the frame of zeros about it.

    A rotation or a skull-stripper leaves such a frame (MRIQC's rotation mask). Zeros that do not reach the border,
    and those that lie about singly, are air that the scanner measured.

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        On a grid where zeros are still zeros: its own, or one to which it was carried with a fill of 0.
    """
    empty = np.pad(np.asarray(image.dataobj) <= 0, 1, constant_values=True)
    labels, count = ndimage.label(ndimage.binary_opening(empty, ndimage.generate_binary_structure(3, 2)))
    shell = np.ones(labels.shape, bool)
    shell[1:-1, 1:-1, 1:-1] = False
    outer = np.zeros(count + 1, bool)
    outer[labels[shell]] = True
    outer[0] = False
    frame = outer[labels[1:-1, 1:-1, 1:-1]]
    return like((~frame if frame.sum() >= MIN_FRAME else np.ones(image.shape)).astype(np.uint8), image)


def head_mask(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return the head on an MR image, uint8: the largest bright piece, holes filled.

    The threshold is Otsu's of the logarithms; where the air is empty that may lie between tissues, so it never is
    above `HEAD_SHARE` of the median of what is brighter.
    """
    from skimage.filters import threshold_otsu

    thin = _thinned(image)
    smooth = ndimage.gaussian_filter(np.asarray(thin.dataobj, np.float32), 2.0 / voxel_sizes(thin.affine))
    logs = np.log1p(np.clip(smooth, 0, None))
    bright = logs > 0
    if bright.any():
        otsu = threshold_otsu(logs[bright])
        bright = smooth > min(np.expm1(otsu), HEAD_SHARE * np.median(smooth[logs > otsu]))
    labels, count = ndimage.label(bright)
    if count:
        bright = ndimage.binary_fill_holes(labels == np.bincount(labels.ravel())[1:].argmax() + 1)
    return resample_mask(like(bright.astype(np.uint8), thin), own_grid(image))


def entropy_focus(values: NDArray[np.float64]) -> float:
    """Return the entropy focus criterion (Atkinson et al. 1997, doi:10.1109/42.650886).

    It is 0 for one bright voxel and 1 where all are alike; ghosts and blurring raise it.
    """
    size = np.abs(values)
    energy = float(np.sqrt((size**2).sum()))
    worst = size.size * (1 / np.sqrt(size.size)) * np.log(1 / np.sqrt(size.size))
    return float((size / energy * np.log((size + 1e-16) / energy)).sum() / worst)


def _deviation(values: NDArray[np.float64]) -> float:
    """Return the median absolute deviation, in standard deviations of a normal distribution."""
    return float(np.median(np.abs(values - np.median(values)))) / NORMAL_MAD


def _over_air(image: nib.Nifti1Image, view: nib.Nifti1Image, contrast: float, variance: float) -> dict[str, float]:
    """Return contrast and energy over those of the air; without what an image of no or silent air cannot tell."""
    data, seen = np.maximum(np.asarray(image.dataobj, np.float64), 0), np.asarray(view.dataobj) > 0
    head = np.asarray(head_mask(image).dataobj) > 0
    far = ndimage.distance_transform_edt(~head, sampling=voxel_sizes(image.affine)) > AIR_MARGIN_MM
    noise, outside, energy = data[far & seen], data[~head & seen] ** 2, np.median(data[head & seen] ** 2)
    numbers: dict[str, float] = {}
    if noise.size >= MIN_VOXELS and noise.var() > SILENT_AIR * energy:
        numbers["cnr"] = contrast / float(np.sqrt(noise.var() + variance))
    if outside.size >= MIN_VOXELS and np.median(outside) > SILENT_AIR * energy:
        numbers["fber"] = float(energy / np.median(outside))
    return numbers


def _thinned(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return every so many voxels of an image, about `THINNED_MM` apart."""
    x, y, z = np.maximum(1, np.round(THINNED_MM / voxel_sizes(image.affine))).astype(int)
    return image.slicer[::x, ::y, ::z]


def _residual_bias(image: nib.Nifti1Image, tissue: nib.Nifti1Image, view: nib.Nifti1Image) -> float:
    """Return the coefficient of variation of white matter, smoothed within itself."""
    data = np.asarray(image.dataobj, np.float32)
    white = (np.asarray(tissue.dataobj) == WHITE) & (np.asarray(view.dataobj) > 0)
    sigma = BIAS_SMOOTHING_MM / voxel_sizes(image.affine)
    share = ndimage.gaussian_filter(white.astype(np.float32), sigma)
    level = ndimage.gaussian_filter(np.where(white, data, 0), sigma)[white] / share[white]
    return float(level.std() / level.mean())


def edge_contact_cm2(mask: nib.Nifti1Image) -> float:
    """Return the area of a brain mask on the faces of its field of view: how much of the brain was cut off."""
    inside, sizes = np.asarray(mask.dataobj) > 0, voxel_sizes(mask.affine)
    area = 0.0
    for axis in range(3):
        face = float(np.prod(np.delete(sizes, axis)))
        area += face * sum(int(inside.take(end, axis=axis).sum()) for end in (0, -1))
    return area / 100


def cut_flags(contact_cm2: float) -> tuple[str, ...]:
    """Return why a reference's field of view cannot be trusted, from its `edge_contact_cm2`; empty where it can.

    The reference gives the visit its grid and its brain. Another scan may end earlier: its mask ends with it, and
    the share of the brain that it covers is judged with its alignment.
    """
    if contact_cm2 <= MAX_EDGE_CONTACT_CM2:
        return ()
    limit = f"more than {MAX_EDGE_CONTACT_CM2:g}"
    return (f"the field of view cuts the brain: {contact_cm2:.0f} cm² of it lie on its faces, {limit}",)


def volume_flags(volume_ml: float) -> tuple[str, ...]:
    """Return why a brain mask's volume cannot be that of a brain; empty where it can."""
    low, high = LIKELY_BRAIN_ML
    if low <= volume_ml <= high:
        return ()
    return (f"a brain of {volume_ml:.0f} ml, not between {low:g} and {high:g}",)


def brain_volume_ml(mask: nib.Nifti1Image) -> float:
    """Return the volume of a mask, millilitres."""
    voxel = float(np.prod(nib.affines.voxel_sizes(mask.affine)))
    return float((np.asarray(mask.dataobj) > 0).sum() * voxel / 1000)


def mask_overlap(a: nib.Nifti1Image, b: nib.Nifti1Image) -> float:
    """Return the Dice coefficient of two masks on one grid; 0 where both are empty."""
    x, y = (np.asarray(mask.dataobj) > 0 for mask in (a, b))
    total = int(x.sum() + y.sum())
    return float(2 * (x & y).sum() / total) if total else 0.0
