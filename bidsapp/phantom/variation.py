"""From which ranges a cohort is drawn: one that resembles a study, or one that no network can learn by heart.

The second follows the idea that a network which has seen more contrasts, resolutions and artefacts than there are
takes a real image for one more of them: SynthSeg (Billot et al. 2023, doi:10.1016/j.media.2023.102789) and SynthSR
(Iglesias et al. 2023, doi:10.1126/sciadv.add3607). Contrasts stay those of their names, for what is to be learned
is how one of them follows from another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Span = tuple[float, float]


@dataclass(frozen=True)
class Variation:
    """Ranges, uniform; of one that is a single value nothing is drawn.

    Attributes
    ----------
    randomized : bool
        Whether each participant has another scanner, too (`bidsapp.phantom.scanner`), and tissues of another shape
        (`bidsapp.phantom.morphology`).
    head_scale : (float, float)
        Of each axis; the template is larger than most heads.
    head_tilt_deg : float
        Greatest, about each axis.
    warp_mm : (float, float)
        Standard deviation of the deformation.
    lesions : (int, int)
        Number in a visit.
    lesion_radius_mm : (float, float)
        Of each axis of a lesion.
    edge : (float, float)
        Voxel edge of the T1w, and in-plane of the others, in units of the cohort's resolution.
    reference_slice : (float, float)
        Slice thickness of the T1w, in units of its edge.
    slices_mm : tuple of (float, float)
        Slice thickness of the others; each of the ranges is as likely.
    motion_deg, motion_mm : float
        Greatest, of each axis, between contrasts.
    bias : (float, float)
        Peak of the field inside the brain, in each image.
    snr : (float, float)
        White matter's signal over the noise's σ.
    blur : (float, float)
        Standard deviation, voxels.
    ghost : (float, float)
        Signal of the ghosts, as a share of the image's.
    """

    randomized: bool
    head_scale: Span
    head_tilt_deg: float
    warp_mm: Span
    lesions: tuple[int, int]
    lesion_radius_mm: Span
    edge: Span
    reference_slice: Span
    slices_mm: tuple[Span, ...]
    motion_deg: float
    motion_mm: float
    bias: Span
    snr: Span
    blur: Span
    ghost: Span


STANDARD = Variation(
    randomized=False,
    head_scale=(0.89, 0.97),
    head_tilt_deg=8.0,
    warp_mm=(3.0, 3.0),
    lesions=(4, 16),
    lesion_radius_mm=(1.5, 6.0),
    edge=(1.0, 1.0),
    reference_slice=(1.0, 1.0),
    slices_mm=((3.0, 5.0),),
    motion_deg=6.0,
    motion_mm=6.0,
    bias=(0.20, 0.40),
    snr=(15.0, 40.0),
    blur=(0.0, 0.0),
    ghost=(0.0, 0.0),
)

RANDOMIZED = Variation(
    randomized=True,
    head_scale=(0.85, 1.0),
    head_tilt_deg=12.0,
    warp_mm=(2.0, 5.0),
    lesions=(0, 40),
    lesion_radius_mm=(1.0, 8.0),
    edge=(0.9, 1.3),
    reference_slice=(1.0, 1.8),
    slices_mm=((0.9, 1.5), (2.0, 5.0)),  # as volumes and as slices are acquired
    motion_deg=6.0,
    motion_mm=6.0,
    bias=(0.05, 0.60),
    snr=(10.0, 60.0),
    blur=(0.0, 0.7),
    ghost=(0.0, 0.06),
)


def draw(span: Span, random: np.random.Generator) -> float:
    """Draw a number from a range; from a single value none is drawn."""
    low, high = span
    return low if low == high else float(random.uniform(low, high))
