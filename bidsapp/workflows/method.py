"""How the steps of one scan are done: what the settings and its contrast decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bidsapp.records import CT

if TYPE_CHECKING:
    from bidsapp.settings import Settings

SLOPPY_SPACING = "3"


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
    brain: str
    registration: str
    normalization: str
    ct: bool
    sloppy: bool


def method_of(settings: Settings, contrast: str) -> Method:
    """Return how a scan of a contrast is processed; a CT has no bias field, and keeps its Hounsfield units."""
    ct = contrast == CT
    levels = 1 if settings.sloppy else 4
    return Method(
        resolution=SLOPPY_SPACING if settings.sloppy else settings.resolution,
        bias_levels=0 if ct or settings.bias_correction == "none" else levels,
        brain=CT if ct else settings.skull_strip,
        registration=settings.registration,
        normalization="hu" if ct else settings.normalization,
        ct=ct,
        sloppy=settings.sloppy,
    )


def describe(contrast: str, reference: str, method: Method) -> str:
    """Return the methods paragraph of one scan, with the parameters that are used."""
    text = f"{BRAINS[method.brain].format(contrast=contrast)} "
    if method.bias_levels:
        text += (
            f"The bias field was estimated inside it by N4 [@n4] at {method.bias_levels} fitting level(s) and "
            "divided out of the whole head. "
        )
    if contrast != reference:
        degrees = {"rigid": "rigidly", "affine": "with 12 degrees of freedom"}[method.registration]
        levels = "one coarse level" if method.sloppy else "two levels"
        text += (
            f"The {contrast} was registered to the {reference} {degrees} by mutual information: a search from the "
            "scanner's geometry, from the brains' centres and, where these fail, from 52 turns, then ANTs at "
            f"{levels} [@ants]. "
        )
    grid = "its own" if method.resolution == "native" else f"the visit's {resolution_text(method.resolution)}"
    return f"{text}One cubic B-spline interpolation carried it to {grid} grid; {SCALES[method.normalization]}.\n"


def resolution_text(resolution: str) -> str:
    """Return a resolution as people write it: ``1 mm isotropic``, ``1 × 1 × 2 mm``."""
    if resolution == "native":
        return "the reference's own grid"
    edges = resolution.split(",")
    return f"{edges[0]} mm isotropic" if len(edges) == 1 else f"{' × '.join(edges)} mm"


BRAINS = {
    "deepbet": "The brain was found on the {contrast} with deepbet [@deepbet].",
    "robex": "The brain was found on the {contrast} with ROBEX [@robex].",
    "skip": "The {contrast} came without skull; its outline is its brain mask.",
    CT: "What the skull encloses was found on the {contrast} by its density [@muschelli].",
}
SCALES = {
    "robust": "its intensities were scaled so that the median in the brain is 0 and the interquartile range 1",
    "zscore": "its intensities were scaled so that the mean in the brain is 0 and the standard deviation 1",
    "fcm": "its intensities were divided by the mean of white matter, found by fuzzy c-means on the T1w",
    "kde": "its intensities were divided by the mode of white matter in the smoothed histogram of the brain",
    "whitestripe": "its intensities were scaled by mean and standard deviation of the white stripe [@whitestripe]",
    "hu": "its Hounsfield units were divided by 1000",
    "none": "its intensities were left as they are",
}
