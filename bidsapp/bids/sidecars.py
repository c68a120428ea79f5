"""What stands in the JSON beside each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bidsapp.records import Space
    from bidsapp.scales import Scale

# How a mask came about that no skull-stripper found.
FOUND = {"outline": "outline of an image that came without skull", "precomputed": "made by somebody else"}
SLOPPY = "SLOPPY: coarse and quick, for tests only. "
STRIPPED_CT = "Brain on the ct, which came without its skull, on the common grid"


@dataclass(frozen=True)
class Provenance:
    """What the sidecars of one visit share.

    Attributes
    ----------
    reference : str
        Path of the preprocessed reference, relative to the derivatives: the grid of all the visit's images.
    reference_contrast : str
        Its contrast.
    sloppy : bool
        Said in every description.
    """

    reference: str
    reference_contrast: str
    sloppy: bool = False


def is_sloppy(sidecar: Mapping[str, Any]) -> bool:
    """Return whether a sidecar says that its image is for tests only."""
    return str(sidecar.get("Description", "")).startswith(SLOPPY)


def raw_uri(path: str) -> str:
    """Return the BIDS URI of a file of the raw dataset, given its path there."""
    return f"bids:raw:{path}"


def own_uri(path: str) -> str:
    """Return the BIDS URI of a file of the derivatives."""
    return f"bids::{path}"


def preproc(
    provenance: Provenance,
    contrast: str,
    raw: str,
    *,
    sha256: str,
    decisions: Sequence[str],
    resolution: str,
    corrected: bool = True,
    stripped: bool = False,
    given: str = "",
    grid: Mapping[str, Any] | None = None,
    reference_sha256: str = "",
) -> dict[str, Any]:
    """Describe a preprocessed image.

    `raw` is its path in the raw dataset, `given` a URI of what stood in, `grid` that of the acquired image, and
    `reference_sha256` the identity of the scan that it was aligned with.
    """
    aligned = contrast != provenance.reference_contrast
    how = f", aligned with the {provenance.reference_contrast}" if aligned else ""
    return {
        "Description": _said(
            provenance, f"{contrast} {'corrected for its bias field and ' if corrected else ''}resampled once{how}"
        ),
        "Sources": [raw_uri(raw), *([given] if given else [])],
        "SkullStripped": stripped,
        **(_grid(provenance) if aligned else {}),
        "SourceSHA256": sha256,
        **({"ReferenceSHA256": reference_sha256} if reference_sha256 else {}),
        "HeaderDecisions": list(decisions),
        "ResampledTo": resolution,
        **({"AcquiredGrid": dict(grid)} if grid else {}),
    }


def normalized(
    provenance: Provenance,
    contrast: str,
    parents: Sequence[str],
    scale: Scale,
    *,
    stripped: bool = False,
    less: str = "",
) -> dict[str, Any]:
    """Describe an intensity-normalized image; `less` is the path of an image that was subtracted from it."""
    return {
        "Description": _said(provenance, f"{contrast} on an invertible intensity scale ({scale.method})"),
        "Sources": [own_uri(path) for path in parents],
        "SkullStripped": stripped,
        **_grid(provenance),
        "Units": "arbitrary",
        "IntensityScale": {
            **scale.to_json(),
            "Formula": _formula(scale) + (f" - {own_uri(less)}" if less else ""),
        },
    }


def _formula(scale: Scale) -> str:
    if "Landmarks" in scale.to_json():
        return "z(x): straight lines from each of Landmarks to that of Standard, going on beyond the outer ones"
    return "z = (x - Offset) / Scale"


def bias_field(provenance: Provenance, contrast: str, raw: str, *, stripped: bool) -> dict[str, Any]:
    """Describe the bias field of an acquired image, on its own grid."""
    return {
        "Description": _said(provenance, f"Bias field (N4) that the {contrast} was divided by"),
        "Sources": [raw_uri(raw)],
        "SkullStripped": stripped,
        "SpatialReference": raw_uri(raw),
        "Units": "arbitrary",
    }


def in_space(
    provenance: Provenance,
    contrast: str,
    raw: str,
    space: Space,
    *,
    sha256: str,
    decisions: Sequence[str],
    corrected: bool = True,
    stripped: bool = False,
    given: str = "",
) -> dict[str, Any]:
    """Describe a preprocessed image in a standard space; `given` is the URI of what stood in for the raw one."""
    how = "corrected for its bias field and " if corrected else ""
    return {
        "Description": _said(provenance, f"{contrast} {how}resampled once to {space.name}"),
        "Sources": [raw_uri(raw), *([given] if given else [])],
        "SkullStripped": stripped,
        "SourceSHA256": sha256,
        "HeaderDecisions": list(decisions),
        "ResampledTo": f"{space.spacing_mm} mm isotropic, cubic B-spline",
        **_resolution(space),
    }


def space_mask(
    provenance: Provenance, contrast: str, sources: Sequence[str], space: Space, found_by: str
) -> dict[str, Any]:
    """Describe the reference's brain mask in a standard space."""
    how = FOUND.get(found_by, f"found by {found_by}")
    return {
        "Description": _said(provenance, f"Brain on the {contrast}, {how}, carried to {space.name}"),
        "Type": "Brain",
        "Sources": list(sources),
        **_resolution(space),
    }


def template_transform(provenance: Provenance, contrast: str, raw: str, space: Space, kind: str) -> dict[str, Any]:
    """Describe a transform between the reference and a template."""
    text = f"{kind} transform between the {contrast} and {space.name}: ITK, millimetres, left-posterior-superior"
    return {"Description": _said(provenance, text), "Sources": [raw_uri(raw)], "Type": kind}


def _resolution(space: Space) -> dict[str, str]:
    return {"Resolution": f"{space.spacing_mm} mm isotropic"} if space.res else {}


def mask(provenance: Provenance, contrast: str, sources: Sequence[str], found_by: str) -> dict[str, Any]:
    """Describe the brain mask of one contrast; `found_by` is a method, or a key of `FOUND`."""
    how = FOUND.get(found_by, f"found by {found_by}")
    return {
        "Description": _said(provenance, f"Brain on the {contrast}, {how}, on the common grid"),
        "Type": "Brain",
        "Sources": list(sources),
        **_grid(provenance),
    }


def head_mask(provenance: Provenance, contrast: str, preproc: str, *, stripped: bool = False) -> dict[str, Any]:
    """Describe the head mask of a preprocessed image; `preproc` is its path, `stripped`: of a CT without skull."""
    text = STRIPPED_CT if stripped else f"Head on the {contrast}, air cavities included, on the common grid"
    content = {"Description": _said(provenance, text), "Type": "ROI", "Sources": [own_uri(preproc)]}
    return {**content, **_grid(provenance)}


def measured_region(
    provenance: Provenance, contrast: str, preproc: str, *, stripped: bool = False
) -> dict[str, Any]:
    """Describe the mask of what a preprocessed CT tells; see `head_mask`."""
    text = STRIPPED_CT if stripped else f"Where the {contrast} was scanned, without the table, on the common grid"
    content = {"Description": _said(provenance, text), "Type": "ROI", "Sources": [own_uri(preproc)]}
    return {**content, **_grid(provenance)}


def transform(provenance: Provenance, contrast: str, sources: Sequence[str], kind: str) -> dict[str, Any]:
    """Describe the transform of one contrast; `kind` is ``Rigid`` or ``Affine``."""
    return {
        "Description": _said(
            provenance,
            f"{kind} transform that resamples the {contrast} on the {provenance.reference_contrast}: "
            "ITK text, millimetres, left-posterior-superior",
        ),
        "Sources": list(sources),
        "Type": kind,
    }


def synth(
    *,
    sources: Sequence[str],
    source_contrasts: Sequence[str],
    missing_contrasts: Sequence[str] = (),
    target_contrast: str,
    model: Mapping[str, Any],
    in_training_set: bool,
    fold: int | None,
    scale: Scale,
    source_sha256: str,
    reference: str,
    sloppy: bool,
    resampled: str = "",
    scale_of: str = "",
    around_mm: float = 0.0,
) -> dict[str, Any]:
    """Describe a synthesized image; acquisition parameters of its sources no longer hold and are not copied.

    `reference` is the URI of the image whose grid it is on, `resampled` how it came there from the common one,
    `scale_of` whose intensities it has, and `around_mm` how far around the head a CT was predicted.
    """
    hounsfield = scale.method == "hu"
    outside = f"-1024 HU further than {around_mm:g} mm from the head" if hounsfield else "0 outside the brain"
    lacking = f", without {' and '.join(missing_contrasts)}" if missing_contrasts else ""
    sources_said = " and ".join(source_contrasts) + lacking
    what = f"{target_contrast} predicted from {sources_said} by a network; never acquired"
    return {
        "Description": (SLOPPY if sloppy else "") + what,
        "Sources": [own_uri(path) for path in sources],
        "SpatialReference": reference,
        **({"ResampledTo": resampled} if resampled else {}),
        "SkullStripped": not hounsfield,
        "Synthetic": True,
        "SourceContrasts": list(source_contrasts),
        **({"MissingSourceContrasts": list(missing_contrasts)} if missing_contrasts else {}),
        "TargetContrast": target_contrast,
        "Model": dict(model),
        "InTrainingSet": in_training_set,
        **({"Fold": fold} if fold is not None else {}),
        "Units": "HU" if hounsfield else "arbitrary",
        "IntensityScale": {
            **scale.to_json(),
            "Formula": f"{_formula(scale)}; {outside}",
            **({"Of": scale_of} if scale_of else {}),
        },
        "SourceSHA256": source_sha256,
    }


def uncertainty(
    synthesized: Mapping[str, Any], image: str, level: float, calibration: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe the uncertainty of a synthesized image, whose sidecar and path are given."""
    shared = ("SpatialReference", "ResampledTo", "SkullStripped", "Synthetic", "TargetContrast", "Model", "Units")
    text = f"Half the width of the {100 * level:g} % interval around each voxel of the synthesized image"
    return {
        "Description": (SLOPPY if is_sloppy(synthesized) else "") + text,
        "Sources": [own_uri(image)],
        **{name: synthesized[name] for name in shared if name in synthesized},
        "Level": level,
        "Calibration": dict(calibration),
    }


def _said(provenance: Provenance, text: str) -> str:
    return (SLOPPY if provenance.sloppy else "") + text


def _grid(provenance: Provenance) -> dict[str, Any]:
    """Say whose grid the images of a visit share: that of the preprocessed reference."""
    return {"SpatialReference": own_uri(provenance.reference)}
