"""The files at the root of the derivatives: whichever process is first writes them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp import __version__
from bidsapp.bids.lock import NAME as LOCK
from bidsapp.bids.lock import locked
from bidsapp.bids.names import DESCRIPTIONS
from bidsapp.bids.precomputed import datasets
from bidsapp.bids.sink import write_json, write_text, write_tsv
from bidsapp.errors import CannotCreateError, UsageError
from bidsapp.text import read_json, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bidsapp.settings import Settings

GENERATOR = "SynthPrep"
CODE_URL = "https://github.com/synthprep/synthprep"
IGNORED = ("*.html", "*_xfm.*", "figures", "models", "work", "group_metrics.*", "group_comparison.*", "*_ct.*")

README = """# SynthPrep derivatives

Written by SynthPrep {version}. Every visit has its contrasts on one grid (`desc-preproc`), on an invertible
intensity scale (`desc-normalized`), and where the group level ran a synthesized contrast (`desc-synth`) with
half the width of the interval around each voxel (`desc-synthUncertainty`).

- `sub-*.html`, `group.html`: reports. `*_scans.tsv`: quality numbers, explained in `scans.json`.
- `logs/CITATION.html`: what was done, for a methods section, and the works to cite.
- `models/`: trained networks. `models/*/splits.tsv` says who was in the training set.
- A `desc-synth` image was never acquired. Its sidecar says what made it, and whether its participant was in the
  training set. It is not for diagnosis.
"""

_MRIQC = (
    "(defined as in MRIQC, inside the scan's field of view less a frame of zeros, on the visit's grid, with hard "
    "tissue classes of the T1w; measured where a T1w is the reference)"
)
SCANS_COLUMNS = {
    "contrast": "What was acquired; of a synthesized image, which has a verdict, what was predicted",
    "brain_volume_ml": "Volume of the scan's own brain mask on the common grid, ml",
    "edge_contact_cm2": "Area of the brain mask on the faces of the scan's field of view, cm2; above 0 the brain "
    "is cut, above 100 a reference is flagged: a tenth of an adult's brain is missing",
    "cjv": "Coefficient of joint variation: sum of the median absolute deviations of white and grey matter, times "
    f"1.4826, over the difference of their medians {_MRIQC}; lower is better",
    "cnr": "Difference of the medians of white and grey matter over the root of the summed variances of both and "
    "of the air 8 mm or more outside the head, all around it; MRIQC takes the air above the nose; n/a without air "
    f"{_MRIQC}; higher is better",
    "snr": f"Median over standard deviation, mean of fluid, grey and white matter {_MRIQC}; higher is better",
    "efc": f"Entropy focus criterion {_MRIQC}: ghosts and blurring raise it",
    "fber": "Median energy of the head over that of all outside it; n/a where MRIQC writes -1, there is no air "
    f"{_MRIQC}; higher is better",
    "wm2max": "Median of white matter over the 99.95th percentile of the image "
    f"{_MRIQC}; .6 to .8 is usual for T1w",
    "inu_range": "95th percentile of the bias field over its 5th in the brain mask; 1 is none; n/a where none was "
    "estimated",
    "residual_bias": "Coefficient of variation of smoothed white matter: what is left of the bias field; measured "
    "where a T1w is the reference",
    "mask_dice": "Dice overlap of the scan's own brain mask with the reference's inside the scan's field of view",
    "covered": "Share of the reference's brain inside the scan's field of view; below .5 the scan is flagged",
    "nmi_before": "Normalized mutual information with the reference by the scanner's geometry",
    "nmi_after": "Normalized mutual information with the reference after registration",
    "edge_overlap": "Share of the reference's strongest edges in the brain within 2 mm of the scan's",
    "residual_mm": "How far a second search, started from the registration, moved the brain, mm",
    "rotation_deg": "Rotation that the registration found, degrees",
    "translation_mm": "Displacement of the brain's centre that the registration found, mm",
    "volume_ratio": "Volume before the registration over that after it, the determinant of its matrix; 1 for a "
    "rigid one",
    "template_dice": "Dice overlap of the brain mask with the template's, the least of all output spaces",
    "scale_offset": "Offset of the intensity scale, units of the image; the sidecar names the method",
    "scale_scale": "Scale of the intensity scale, units of the image: z = (x - offset) / scale",
    "verdict": "Of a synthesized image, whether it is to be used: trust; caution, where it or what it was "
    "predicted from is unlike held-out training visits, or the network was no better than a map of intensities on "
    "held-out people; reject, where an image or its input is unlike by over twice what is accepted",
    "reasons": "What is unlike, and by how much, or how the network fared beside a map of intensities; n/a where "
    "it is trusted",
    "flags": "Why the scan is not to be trusted: its registration, a reference that cuts the brain, a brain mask "
    "below 250 or above 2200 ml; n/a where it passed. A flagged target is not learned from, a visit with a "
    "flagged reference or source is left out",
}


def open_derivatives(settings: Settings) -> Path:
    """Create the output folder and the files at its root.

    Parameters
    ----------
    settings : Settings
        Raw dataset and output folder.

    Returns
    -------
    Path
        The output folder.

    Raises
    ------
    UsageError
        Output and raw dataset are one folder, or the derivatives are of another raw dataset.
    CannotCreateError
        The folder cannot be written.
    """
    out = settings.output_dir
    if out.resolve() == settings.bids_dir.resolve():
        raise UsageError(f"{out}: the output would be written into the raw dataset", "give another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out):
            _write_root(out, settings)
    except OSError as error:
        raise CannotCreateError(
            f"{error.filename or out}: {error.strerror}", "give an output folder that can be written"
        ) from error
    return out


def _write_root(out: Path, settings: Settings) -> None:
    """Write the files at the root; other jobs may be about to do the same."""
    if not (out / LOCK).stat().st_size:
        (out / LOCK).write_text("\n".join(IGNORED) + "\n", encoding="utf-8")  # not renamed: it is locked
    if not (out / "README.md").exists():
        write_text(README.format(version=__version__), out / "README.md")
    write_json(_description(settings), out / "dataset_description.json")
    write_json({name: {"Description": text} for name, text in SCANS_COLUMNS.items()}, out / "scans.json")
    update_descriptions(out, settings)


def update_descriptions(out: Path, settings: Settings) -> None:
    """Write ``descriptions.tsv``: a row for every ``desc-`` label that a file name may carry.

    Rows of earlier runs stay, for so do their files.
    """
    rows = [{"desc_id": f"desc-{label}", "description": text} for label, text in DESCRIPTIONS.items()]
    rows += [
        {
            "desc_id": f"desc-brain{contrast}",
            "description": f"Brain mask found on the {contrast} itself; ends where its field of view ends",
        }
        for contrast in settings.wanted
        if contrast != settings.reference
    ]
    known = {row["desc_id"] for row in rows}
    path = out / "descriptions.tsv"
    if path.is_file():
        with suppress(ValueError):  # a damaged one is written anew
            rows += [row for row in read_table(path) if row.get("desc_id") not in {None, *known}]
    write_tsv(rows, path, ["desc_id", "description"])


def _description(settings: Settings) -> dict[str, Any]:
    """Return the description that is there, or a new one, with version and links of this run."""
    path = settings.output_dir / "dataset_description.json"
    try:
        description = read_json(path) if path.exists() else _new_description(settings)
    except ValueError as error:
        raise CannotCreateError(
            f"{path}: no JSON: {error}", "correct it, or give another output folder"
        ) from error
    if not isinstance(description, dict) or not isinstance(description.get("DatasetLinks", {}), dict):
        raise CannotCreateError(f"{path}: describes no dataset", "correct it, or give another output folder")
    if "participant" in settings.levels:  # the group level does not look at the raw dataset, nor need it be there
        description = _with_raw(settings, description, path)
    links = {name: _relative(settings, folder) for name, folder in datasets(settings.derivatives).items()}
    return {
        **description,
        "GeneratedBy": _generated_by(description),
        "DatasetLinks": {**description.get("DatasetLinks", {}), **links},
    }


def _with_raw(settings: Settings, description: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a description that links to the raw dataset where it lies now.

    Containers mount a dataset here and there, and some move. But where the one that is linked still is there, this
    one is a copy, as jobs make them, or it has another name and other people by the same labels.
    """
    links, raw = description.get("DatasetLinks", {}), _relative(settings, settings.bids_dir)
    known = links.get("raw")
    before = settings.output_dir.resolve() / str(known)
    if known and known != raw and any(before.glob("sub-*")):
        if dataset_name(before) == dataset_name(settings.bids_dir):
            return description
        raise UsageError(
            f"{settings.output_dir}: derivatives of {before.resolve()}, not of {settings.bids_dir}",
            f"give another output folder; if they are one, write {raw} for raw in DatasetLinks of {path}",
        )
    sources = description.get("SourceDatasets") or [{"URL": known}]
    moved = [{"URL": raw} if source == {"URL": known} else source for source in sources]
    return {**description, "SourceDatasets": moved, "DatasetLinks": {**links, "raw": raw}}


def _generated_by(description: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the versions that have written here, this one among them."""
    earlier = [by for by in description.get("GeneratedBy") or () if isinstance(by, dict)]
    own = any((by.get("Name"), by.get("Version")) == (GENERATOR, __version__) for by in earlier)
    return earlier if own else [*earlier, _generator()]


def _relative(settings: Settings, folder: Path) -> str:
    return Path(os.path.relpath(folder.resolve(), settings.output_dir.resolve())).as_posix()


def dataset_name(dataset: Path) -> str:
    """Return the name that a dataset gives itself, empty where it has none."""
    return str(_said_by(dataset).get("Name", ""))


def _said_by(dataset: Path) -> dict[str, Any]:
    """Return the description of a dataset, empty where it has none that can be read."""
    try:
        content = read_json(dataset / "dataset_description.json")
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _new_description(settings: Settings) -> dict[str, Any]:
    said = _said_by(settings.bids_dir)
    name, licence = said.get("Name", ""), said.get("License")
    raw = _relative(settings, settings.bids_dir)
    return {
        "Name": "SynthPrep: contrasts on a common grid, and synthesized ones" + (f", of {name}" if name else ""),
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        # Whose scans these are decides, not we: where the raw dataset names none, its derivatives name none.
        **({"License": licence} if isinstance(licence, str) and licence else {}),
        "SourceDatasets": [{"URL": raw}],
        "DatasetLinks": {"raw": raw},
    }


def _generator() -> dict[str, Any]:
    container = {"Container": _container(os.environ)} if os.environ.get("SYNTHPREP_CONTAINER") else {}
    return {"Name": GENERATOR, "Version": __version__, "CodeURL": CODE_URL, **container}


def _container(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what BIDS wants to know of the container that this runs in: who runs it, and which version it is."""
    runs = [name for name in ("apptainer", "singularity") if environment.get(f"{name.upper()}_CONTAINER")]
    return {"Type": runs[0] if runs else environment["SYNTHPREP_CONTAINER"], "Tag": __version__}
