"""How the steps of one scan are done: what the settings, its contrast and given derivatives decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bidsapp.bids.precomputed import find_image, find_mask, find_transform
from bidsapp.imaging.brain import PRECOMPUTED
from bidsapp.records import CT
from bidsapp.settings import visit_scale

if TYPE_CHECKING:
    from bidsapp.bids.precomputed import Given
    from bidsapp.records import Scan, Visit
    from bidsapp.settings import Settings

SLOPPY_SPACING = "3"
BIAS_LEVELS = 3


@dataclass(frozen=True)
class Method:
    """Parameters of the steps.

    Attributes
    ----------
    resolution : str
        Voxel edges of the common grid: ``1``, ``1,1,2`` (mm), or ``native``.
    bias_levels : int
        Fitting levels of N4; 0 for no correction.
    brain : str
        How the brain is found.
    write_field : bool
        Write the bias field.
    image, mask, transform : Given or None
        Preprocessed image, brain mask, and transform to the reference, that a dataset of ``--derivatives`` has.
    registration : str
        ``rigid`` or ``affine``.
    normalization : str
        Intensity scale.
    ct : bool
        Hounsfield units.
    sloppy : bool
        Coarse and quick.
    """

    resolution: str
    bias_levels: int
    write_field: bool
    brain: str
    image: Given | None
    mask: Given | None
    transform: Given | None
    registration: str
    normalization: str
    ct: bool
    sloppy: bool

    @property
    def corrected(self) -> bool:
        """Whether the bias field is divided out, or was before."""
        return self.bias_levels > 0 or self.image is not None


def method_of(settings: Settings, visit: Visit, scan: Scan) -> Method:
    """Return how a scan is processed; a CT has no bias field, and keeps its Hounsfield units."""
    ct = scan.contrast == CT
    image = None
    if settings.bias_correction == PRECOMPUTED and not ct:
        image = find_image(settings.derivatives, visit, scan)
    corrected = not ct and image is None and settings.bias_correction != "none"
    given = settings.derivatives, visit, scan, settings.reference
    mask = find_mask(*given) if settings.skull_strip == PRECOMPUTED else None
    return Method(
        resolution=SLOPPY_SPACING if settings.sloppy else settings.resolution,
        bias_levels=(1 if settings.sloppy else BIAS_LEVELS) if corrected else 0,
        write_field=corrected and settings.write_bias_field,
        brain=_brain(settings, scan, mask),
        image=image,
        mask=mask,
        transform=None if scan.contrast == settings.reference else find_transform(*given),
        registration=settings.registration,
        normalization=visit_scale(settings.normalization, scan.contrast),
        ct=ct,
        sloppy=settings.sloppy,
    )


def _brain(settings: Settings, scan: Scan, mask: Given | None) -> str:
    """Return how the brain is found: people who bring masks bring the reference's, and rarely any other."""
    if mask:
        return PRECOMPUTED
    if scan.contrast == CT:
        return CT
    if settings.skull_strip == PRECOMPUTED and scan.contrast != settings.reference:
        return "deepbet"
    return settings.skull_strip


def given_uris(method: Method) -> dict[str, str]:
    """Return the BIDS URIs of what somebody else made of a scan."""
    return {kind: file.uri for kind in ("image", "mask", "transform") if (file := getattr(method, kind))}


def resolution_text(resolution: str) -> str:
    """Return a resolution as people write it: ``1 mm isotropic``, ``1 × 1 × 2 mm``."""
    if resolution == "native":
        return "the reference's own grid"
    edges = resolution.split(",")
    return f"{edges[0]} mm isotropic" if len(edges) == 1 else f"{' × '.join(edges)} mm"
