"""The head: brain tissues from the MNI template, and a skull, scalp and neck around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bidsapp.phantom.variation import STANDARD, Variation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PADDING = ((0, 0), (0, 0), (44, 6))  # mm; the template ends at the foramen magnum
SUBARACHNOID_MM = 2.0
SKULL_MM = 6.0
SCALP_MM = 6.0


@dataclass(frozen=True)
class Head:
    """Tissue fractions of one head.

    Attributes
    ----------
    fractions : mapping of str to ndarray, shape (X, Y, Z), float32
        By tissue; they sum to at most 1, the rest is air.
    brain : ndarray, shape (X, Y, Z), bool
        Everything inside the skull: brain tissue and the fluid in and around it, as brain extraction is taught.
    affine : ndarray, shape (4, 4)
        Voxels of 1 mm to RAS mm.
    """

    fractions: Mapping[str, NDArray[np.float32]]
    brain: NDArray[np.bool_]
    affine: NDArray[np.float64]


def template_head() -> Head:
    """Build the head that every participant is a deformation of, from the maps that nilearn carries."""
    from nilearn import datasets

    grey = datasets.load_mni152_gm_template(resolution=1)
    white = datasets.load_mni152_wm_template(resolution=1)
    affine = grey.affine.copy()
    affine[:3, 3] -= [before for before, _ in PADDING]
    gm, wm = (np.pad(image.get_fdata(dtype=np.float32), PADDING) for image in (grey, white))
    total = np.maximum(gm + wm, 1.0)
    gm, wm = gm / total, wm / total
    distance = ndimage.distance_transform_edt(~_brain_surface(gm + wm))
    inside = np.clip(SUBARACHNOID_MM + 0.5 - distance, 0, 1)  # of the skull
    gm, wm = gm * (inside > 0), wm * (inside > 0)
    fractions = {"csf": np.clip(inside - gm - wm, 0, 1), "gm": gm, "wm": wm}
    fractions.update(_around(distance, inside, affine))
    return Head({name: np.asarray(f, np.float32) for name, f in fractions.items()}, inside >= 0.5, affine)


def add_lesions(head: Head, random: np.random.Generator, variation: Variation = STANDARD) -> Head:
    """Return the head with round lesions in its white matter.

    They relax like grey matter on a T1w image and stand out on a FLAIR: what a global map of intensities cannot
    tell apart.
    """
    white = head.fractions["wm"]
    deep = np.argwhere(ndimage.uniform_filter(white, 5) > 0.9)
    lesion = np.zeros_like(white)
    for _ in range(random.integers(*variation.lesions, endpoint=True)):
        centre = deep[random.integers(len(deep))]
        radius = random.uniform(*variation.lesion_radius_mm, size=3)
        reach = int(np.ceil(radius.max())) + 2
        box = tuple(slice(c - reach, c + reach + 1) for c in centre)
        offsets = np.indices((2 * reach + 1,) * 3) - reach
        far = np.sqrt(sum((o / r) ** 2 for o, r in zip(offsets, radius, strict=True)))
        ball = np.clip((1 - far) * radius.mean() + 0.5, 0, 1)
        lesion[box] = np.maximum(lesion[box], ball)
    lesion *= white
    return Head({**head.fractions, "wm": white - lesion, "lesion": lesion}, head.brain, head.affine)


def _brain_surface(tissue: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Close the sulci by 4 mm and fill the ventricles."""
    ball = ndimage.generate_binary_structure(3, 1)
    closed = ndimage.binary_closing(np.pad(tissue > 0.5, 8), ball, iterations=4)[8:-8, 8:-8, 8:-8]
    labels, _ = ndimage.label(closed)
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return np.asarray(ndimage.binary_fill_holes(largest))


def _around(
    distance: NDArray[np.float64], inside: NDArray[np.float64], affine: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return skull, scalp and neck: shells around the brain, and a column of muscle under it."""
    x, y, z = (np.arange(n) + o for n, o in zip(distance.shape, affine[:3, 3], strict=True))
    x, y = x[:, None, None], y[:, None]
    neck = ((x / 58) ** 2 + ((y + 35) / 62) ** 2 < 1) & (z < -40)
    face = (x / 62) ** 2 + ((y - 42) / 48) ** 2 + ((z + 62) / 55) ** 2 < 1
    skull_end = SUBARACHNOID_MM + SKULL_MM
    head = (distance < skull_end + SCALP_MM) | neck | face
    depth = ndimage.distance_transform_edt(head)
    bone = np.clip(skull_end + 0.5 - distance, 0, 1) - inside
    rest = np.clip(np.clip(depth, 0, 1) - inside - bone, 0, 1)
    skin = np.clip(SCALP_MM + 0.5 - depth, 0, 1)
    return {"bone": bone, "fat": rest * skin, "muscle": rest * (1 - skin)}
