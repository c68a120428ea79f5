"""Every output path of both levels, one table.

All functions return POSIX paths relative to the derivative dataset's root. A derivative keeps the entities of
its single source; one made of several sources keeps the entities they share.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from bidsapp.records import CT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bidsapp.records import Scan, Space, Visit

# Every entity that BIDS has for images of the head, in the order of its schema; `sub` and `ses` are the visit's.
ENTITY_ORDER = (
    *("sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec", "dir", "run", "mod"),
    *("echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split", "recording", "chunk", "seg"),
    *("res", "den", "label", "from", "to", "mode", "desc"),
)

DESCRIPTIONS = {
    "preproc": "Image, its bias field corrected where it has one, resampled once to the visit's common grid",
    "normalized": "The preprocessed image on an invertible intensity scale",
    "biasfield": "Bias field that the acquired image was divided by, on its own grid",
    "brain": "Brain mask of the visit's reference image, on the common grid",
    "nyul": "The preprocessed image on the landmarks of its cohort (Nyul and Udupa)",
    "lsq": "The preprocessed image times the factor that brings its tissue means nearest to the cohort's",
    "ravel": "The normalized image without what RAVEL found to be unwanted",
    "ravelfield": "What RAVEL subtracted from the normalized image",
    "head": "Head mask of the visit's reference image, skin and air cavities included, on the common grid",
    "headct": "Head mask of the CT, without the table, on the common grid",
    "measuredct": "Where the CT was scanned, without the table, on the common grid: what can be compared with it",
    "synth": "Contrast predicted by a network from the visit's other contrasts; not acquired",
    "synthUncertainty": "Half the width of the 90 % interval around each voxel of the predicted contrast",
    "bias": "Figure: the image before and after its bias field was taken out",
    "registration": "Figure: the image on the reference, by outlines and in squares",
    "fixed": "Figure: the reference, to be compared by turns with the image that was registered to it",
    "moving": "Figure: the image that was registered to the reference",
    "histogram": "Histogram of the image in the brain, before and after normalization, for the visit's page",
}


def brain_desc(contrast: str, reference: str) -> str:
    """Return the ``desc-`` label of a brain mask: ``brain``, or ``brainFLAIR`` for a co-registered scan's own."""
    return "brain" if contrast == reference else f"brain{contrast}"


def bias_field(visit: Visit, scan: Scan) -> str:
    """Return the path of the bias field of a scan, in the scan's own grid."""
    return path(visit, {**scan.entities, "desc": "biasfield"}, scan.contrast, ".nii.gz")


def visit_dir(visit: Visit) -> str:
    """Return ``sub-01[/ses-A]``."""
    return f"sub-{visit.subject}" + (f"/ses-{visit.session}" if visit.session else "")


def preproc(visit: Visit, scan: Scan, reference: str) -> str:
    """Return the path of the bias-corrected image on the common grid."""
    return _image(visit, scan, reference, "preproc")


def normalized(visit: Visit, scan: Scan, reference: str) -> str:
    """Return the path of the intensity-normalized image."""
    return _image(visit, scan, reference, "normalized")


def on_cohort_scale(visit: Visit, scan: Scan, reference: str, method: str) -> str:
    """Return the path of an image on the scale of a cohort; `method` is its label, ``nyul``."""
    return _image(visit, scan, reference, method)


def brain_mask(visit: Visit, scan: Scan, reference: str) -> str:
    """Return the path of the brain mask found on one scan, on the common grid."""
    entities = {**scan.entities, **_space(scan, reference), "desc": brain_desc(scan.contrast, reference)}
    return path(visit, entities, "mask", ".nii.gz")


def head_mask(visit: Visit, scan: Scan, reference: str) -> str:
    """Return the path of the head mask of the reference, or of a CT: ``desc-headct``; on the common grid."""
    label = "head" if scan.contrast == reference else f"head{scan.contrast}"
    return path(visit, {**scan.entities, **_space(scan, reference), "desc": label}, "mask", ".nii.gz")


def measured_region(visit: Visit, scan: Scan, reference: str) -> str:
    """Return the path of the mask of what a CT tells of the head and the air around it, on the common grid."""
    entities = {**scan.entities, **_space(scan, reference), "desc": f"measured{scan.contrast}"}
    return path(visit, entities, "mask", ".nii.gz")


def transform(visit: Visit, scan: Scan, reference: str) -> str:
    """Return the path of the rigid transform that carries an image to the reference (ITK text, LPS mm)."""
    entities = {**scan.entities, "from": scan.contrast, "to": reference, "mode": "image"}
    return path(visit, entities, "xfm", ".txt")


def in_space(visit: Visit, scan: Scan, space: Space) -> str:
    """Return the path of a preprocessed image in a standard space."""
    return path(visit, {**scan.entities, **space.entities, "desc": "preproc"}, scan.contrast, ".nii.gz")


def space_mask(visit: Visit, scan: Scan, space: Space) -> str:
    """Return the path of the reference's brain mask in a standard space."""
    return path(visit, {**scan.entities, **space.entities, "desc": "brain"}, "mask", ".nii.gz")


def template_transforms(visit: Visit, scan: Scan, space: Space, kind: str) -> tuple[str, str]:
    """Return the paths of the transforms of the reference to a template and back; `kind` is affine or syn."""
    ends = (scan.contrast, space.name), (space.name, scan.contrast)
    ending = ".h5" if kind == "syn" else ".txt"
    forward, backward = (
        path(visit, {**scan.entities, "from": start, "to": end, "mode": "image"}, "xfm", ending)
        for start, end in ends
    )
    return forward, backward


def synth(visit: Visit, sources: Iterable[Scan], target: str) -> str:
    """Return the path of a predicted image."""
    shared = reduce(lambda a, b: dict(a.items() & b.items()), (dict(s.entities) for s in sources))
    return path(visit, {**shared, "desc": "synth"}, target, ".nii.gz")


def uncertainty(visit: Visit, sources: Iterable[Scan], target: str) -> str:
    """Return the path of the uncertainty of a predicted image."""
    return synth(visit, sources, target).replace("_desc-synth_", "_desc-synthUncertainty_")


def bundle(sources: Iterable[str], target: str, network: str) -> str:
    """Return the folder of a trained bundle, ``models/T1w-to-FLAIR_unet``."""
    return f"models/{'+'.join(sources)}-to-{target}_{network}"


def exported(bundle: str) -> str:
    """Return the folder of a bundle that was exported for other software, given its name."""
    return f"models/{bundle}-export"


def sidecar(path: str) -> str:
    """Return the path of the JSON beside an image or transform."""
    for ending in (".nii.gz", ".txt", ".h5"):
        if path.endswith(ending):
            return path.removesuffix(ending) + ".json"
    raise ValueError(f"{path}: no sidecar belongs to such a file")


def figure(visit: Visit, desc: str, suffix: str) -> str:
    """Return the path of a figure of the visit's report."""
    return f"sub-{visit.subject}/figures/{visit.label}_desc-{desc}_{suffix}.svg"


def histogram(visit: Visit, contrast: str) -> str:
    """Return the path of the histogram of a scan's brain, which the reports of all visits read."""
    return figure(visit, "histogram", contrast).removesuffix(".svg") + ".json"


def report(visit: Visit) -> str:
    """Return the path of the visit's report."""
    return f"{visit.label}.html"


def scans_table(visit: Visit) -> str:
    """Return the path of the visit's table of quality numbers."""
    return f"{visit_dir(visit)}/{visit.label}_scans.tsv"


def _space(scan: Scan, reference: str) -> dict[str, str]:
    return {} if scan.contrast == reference else {"space": reference}


def _image(visit: Visit, scan: Scan, reference: str, desc: str) -> str:
    return path(visit, {**scan.entities, **_space(scan, reference), "desc": desc}, scan.contrast, ".nii.gz")


def path(visit: Visit, entities: Mapping[str, str], suffix: str, ending: str) -> str:
    """Return the path of a visit's anatomical file with these entities, in BIDS order."""
    known = [f"{key}-{entities[key]}" for key in ENTITY_ORDER if key in entities]
    unknown = unplaced(entities)
    if unknown:
        raise ValueError(f"{visit.label}: no place in a file name for {', '.join(unknown)}")
    return f"{visit_dir(visit)}/anat/" + "_".join([visit.label, *known, suffix]) + ending


def raw(visit: Visit, entities: Mapping[str, str], contrast: str) -> str:
    """Return the path of an image of a raw dataset that we make; a CT lies in ``ct/``, as is usual."""
    named = path(visit, entities, contrast, ".nii.gz")
    return named.replace("/anat/", "/ct/") if contrast == CT else named


def unplaced(entities: Iterable[str]) -> list[str]:
    """Return the entities that have no place in a file name, sorted."""
    return sorted(set(entities) - set(ENTITY_ORDER))
