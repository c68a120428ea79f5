"""How well a scan lies on the reference: numbers, and the verdict on a registration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from bidsapp.imaging.grid import common_grid, resample, resample_mask
from bidsapp.imaging.itk import like
from bidsapp.imaging.quality import mask_overlap
from bidsapp.imaging.similarity import Similarity
from bidsapp.imaging.transforms import LinearTransform

if TYPE_CHECKING:
    import nibabel as nib
    from numpy.typing import NDArray

    from bidsapp.imaging.grid import Grid

# Brain masks of two contrasts of one head agree to Dice 0.93–0.98 when aligned; 20° or 15 mm off, they do not.
MIN_MASK_DICE = 0.85
# With less of the brain in view, masks and information prove little; a slab of six tenths is still told right.
MIN_COVERED = 0.5
# The normalized mutual information of unrelated images is 1; two aligned contrasts share 1.05–1.25.
MIN_NMI = 1.02
# Where the header is perfect, a registration that is off by a millimetre loses up to 0.018.
MAX_NMI_LOSS = 0.02
# A second search ends within 0.6 mm of a good transform; benchmarks/registration_gate.py says what 2 mm let pass.
MAX_RESIDUAL_MM = 2.0
# Nobody's head turns that far between two scans of a visit: the header is wrong, or the registration.
MAX_ROTATION_DEG = 75.0
MAX_VOLUME_CHANGE = 0.2
EDGE_SPACING_MM = 2.0
EDGE_SHARE = 0.15


@dataclass(frozen=True)
class Alignment:
    """How well a scan lies on the reference; the names are the columns of ``scans.tsv``.

    Attributes
    ----------
    mask_dice : float
        Overlap of the scan's own brain mask with the reference's, inside the scan's field of view.
    covered : float
        Share of the reference's brain inside the scan's field of view.
    nmi_before, nmi_after : float
        Normalized mutual information in the reference's brain by the scanner's geometry, and registered.
    edge_overlap : float
        Share of the reference's strongest edges in the brain within 2 mm of the scan's strongest.
    residual_mm : float
        How far a second search, started from the transform, moved the brain.
    rotation_deg, translation_mm : float
        What the registration found: angle, and displacement of the brain's centre.
    volume_ratio : float
        Volume of the scan's brain before the registration over that after it: the determinant of the transform.
    """

    mask_dice: float
    covered: float
    nmi_before: float
    nmi_after: float
    edge_overlap: float
    residual_mm: float
    rotation_deg: float
    translation_mm: float
    volume_ratio: float

    @property
    def flags(self) -> tuple[str, ...]:
        """Why the registration is not to be trusted; empty where it passed."""
        checks = (
            (
                self.mask_dice < MIN_MASK_DICE,
                f"brain masks overlap by Dice {self.mask_dice:.2f}, below {MIN_MASK_DICE}",
            ),
            (
                self.covered < MIN_COVERED,
                f"only {self.covered:.0%} of the brain in the field of view, less than {MIN_COVERED:.0%}",
            ),
            (
                self.nmi_after < MIN_NMI,
                f"the contrasts share no information (NMI {self.nmi_after:.3f}, below {MIN_NMI})",
            ),
            (
                self.nmi_after < self.nmi_before - MAX_NMI_LOSS,
                f"registration lowered NMI from {self.nmi_before:.3f} to {self.nmi_after:.3f}",
            ),
            (
                self.residual_mm > MAX_RESIDUAL_MM,
                f"a second search moved the brain by {self.residual_mm:.1f} mm, more than {MAX_RESIDUAL_MM:g}",
            ),
            (
                self.rotation_deg > MAX_ROTATION_DEG,
                f"turned by {self.rotation_deg:.0f} degrees, more than {MAX_ROTATION_DEG:g}",
            ),
            (
                abs(self.volume_ratio - 1) > MAX_VOLUME_CHANGE,
                f"volumes changed by a factor of {self.volume_ratio:.2f}",
            ),
        )
        return tuple(reason for failed, reason in checks if failed)

    def columns(self) -> dict[str, float]:
        """Return the numbers as a table names them."""
        return asdict(self)


class Overlap(NamedTuple):
    """Dice of two brains inside a field of view, and the share of the first one that lies in it."""

    dice: float
    covered: float


def brain_overlap(
    fixed_mask: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    moving_mask: nib.Nifti1Image,
    transform: LinearTransform,
    grid: Grid,
) -> Overlap:
    """Return how well two brains overlap where the moving image looks.

    A mask ends where its image ends: beyond, the fixed brain has nothing to overlap with, and tells nothing.

    Parameters
    ----------
    fixed_mask, moving_mask : Nifti1Image
        Brain masks in the space of the one and of the other, on any grid.
    moving : Nifti1Image
        Its grid is the field of view.
    transform : LinearTransform
        Maps points of the fixed space to points of the moving one.
    grid : Grid
        Where they are compared, in the fixed space.
    """
    brain = resample_mask(fixed_mask, grid)
    view = resample_mask(like(np.ones(moving.shape, np.uint8), moving), grid, transform)
    seen = like(np.asarray(brain.dataobj) * np.asarray(view.dataobj), brain)
    total = max(int(np.asarray(brain.dataobj).sum()), 1)
    dice = mask_overlap(seen, resample_mask(moving_mask, grid, transform))
    return Overlap(dice, float(np.asarray(seen.dataobj).sum() / total))


def assess_alignment(
    fixed: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    fixed_mask: nib.Nifti1Image,
    moving_mask: nib.Nifti1Image,
    transform: LinearTransform,
) -> Alignment:
    """Measure a registration.

    Parameters
    ----------
    fixed, moving : Nifti1Image, shape (X, Y, Z)
        Reference and scan, each on its own grid.
    fixed_mask, moving_mask : Nifti1Image
        Brain masks in the space of the one and of the other, on any grid.
    transform : LinearTransform
        Maps points of the reference's space to points of the scan's.

    Returns
    -------
    Alignment
    """
    similarity = Similarity(fixed, moving, fixed_mask)
    grid = common_grid(fixed, EDGE_SPACING_MM)
    brain = resample_mask(fixed_mask, grid)
    overlap = brain_overlap(fixed_mask, moving, moving_mask, transform, grid)
    return Alignment(
        mask_dice=overlap.dice,
        covered=overlap.covered,
        nmi_before=similarity(LinearTransform(np.eye(4))),
        nmi_after=similarity(transform),
        edge_overlap=_edge_overlap(resample(fixed, grid), resample(moving, grid, transform), brain),
        residual_mm=similarity.refine(transform).moved_mm,
        rotation_deg=transform.rotation_deg,
        translation_mm=transform.displacement_mm(similarity.centre),
        volume_ratio=transform.volume_ratio,
    )


def _edge_overlap(a: nib.Nifti1Image, b: nib.Nifti1Image, mask: nib.Nifti1Image) -> float:
    inside = np.asarray(mask.dataobj) > 0
    ours, theirs = (_edges(image, inside) for image in (a, b))
    near = ndimage.binary_dilation(theirs)
    return float((ours & near).sum() / ours.sum()) if ours.any() else 0.0


def _edges(image: nib.Nifti1Image, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where in a mask the gradient is among its strongest `EDGE_SHARE`."""
    gradient = ndimage.gaussian_gradient_magnitude(np.asarray(image.dataobj, np.float32), 1.0)
    if not inside.any():
        return inside
    return np.asarray(inside & (gradient > np.percentile(gradient[inside], 100 * (1 - EDGE_SHARE))))
