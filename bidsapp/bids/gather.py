"""From derivatives to pairs: what the participant level has left for the group level."""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError

from bidsapp import text
from bidsapp.bids import names
from bidsapp.bids.scans import RUN_AGAIN, on_reference, quality_of, read_scans, scan_of
from bidsapp.bids.sidecars import is_sloppy
from bidsapp.errors import DataError, NothingSelectedError
from bidsapp.records import CT, Identity, Pair, Skip, Visit
from bidsapp.scales import scale_from_json, zero_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.scales import Scale

SEE_REPORT = "see the visit's report"
# How far around the head a CT is predicted: its skin is within, and air that has to be told from bone.
CT_MARGIN_MM = 10.0


@dataclass(frozen=True)
class GatheredVisit:
    """A visit as the derivatives have it.

    Attributes
    ----------
    visit : Visit
        Its scans are normalized images, all aligned with one reference.
    pair : Pair
        What learning needs of it.
    methods : Mapping of str to str
        Contrast → method of the intensity scale, of the sources that there are and, if there is one, the target.
    spacing_mm : tuple of float
        Voxel edges of its grid along left-right, front-back and up-down.
    """

    visit: Visit
    pair: Pair
    methods: Mapping[str, str]
    spacing_mm: tuple[float, ...]


@dataclass(frozen=True)
class Gathered:
    """What was found.

    Attributes
    ----------
    visits : tuple of GatheredVisit
        Visits with all sources, or where some may miss with one.
    skipped : tuple of Skip
        Visits without, or whose source or reference is not to be trusted.
    dropped : tuple of Skip
        Visits whose target is not to be trusted: predicted, not learned from; or one of several sources: predicted
        as if it were missing.
    damaged : tuple of Skip
        Visits with a sidecar or table that is missing or cannot be read.
    identities : tuple of Identity
        Of all visits, those included that cannot be used or that the labels leave out: by one that a bundle knows,
        the others of its participant are known, too.
    """

    visits: tuple[GatheredVisit, ...]
    skipped: tuple[Skip, ...]
    dropped: tuple[Skip, ...]
    damaged: tuple[Skip, ...]
    identities: tuple[Identity, ...] = ()


def gather(
    derivatives: Path,
    source: tuple[str, ...],
    target: str,
    reference: str,
    *,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
    may_miss: bool = False,
) -> Gathered:
    """Collect the visits of a derivative dataset.

    Parameters
    ----------
    derivatives : Path
        Output of the participant level.
    source : tuple of str
        Contrasts to predict from.
    target : str
        Contrast to predict.
    reference : str
        The contrast whose grid the visit's images share.
    participants, sessions : sequence of str
        Labels that restrict the visits; empty means all.
    may_miss : bool
        Whether one source that can be used is enough.

    Returns
    -------
    Gathered

    Raises
    ------
    NothingSelectedError
        The labels match no visit.
    """
    visits: list[GatheredVisit] = []
    skipped: list[Skip] = []
    dropped: list[Skip] = []
    damaged: list[Skip] = []
    identities: list[Identity] = []
    identity = _identity(source, reference, may_miss=may_miss)
    for place in find_visits(derivatives):
        selected = _is_among(place.subject, participants) and _is_among(place.session, sessions)
        try:
            found, doubts = _look_at(derivatives, place, source, target, reference, may_miss=may_miss)
        except DataError as error:
            found, doubts = None, []
            if selected:
                damaged.append(Skip(place.label, error.message, error.hint))
        identities += _recognized(derivatives, place, identity)
        if selected:
            visits += [found] if found else []
            (dropped if found else skipped).extend(doubts)
    if (participants or sessions) and not (visits or skipped or damaged):
        raise NothingSelectedError(
            f"{derivatives}: the labels match no visit that the participant level has worked on",
            "check --participant-label and --session-label",
        )
    return Gathered(tuple(visits), tuple(skipped), tuple(dropped), tuple(damaged), tuple(identities))


def find_visits(derivatives: Path) -> list[Visit]:
    """Return the visits that have normalized images, without scans: which may be used, their tables say."""
    folders = {
        image.parent.parent
        for pattern in ("sub-*/anat", "sub-*/ses-*/anat")
        for image in derivatives.glob(f"{pattern}/*_desc-normalized_*.nii.gz")
    }
    labels = [
        [part.split("-", 1)[1] for part in folder.relative_to(derivatives).parts] for folder in sorted(folders)
    ]
    return [Visit(subject, session[0] if session else None, ()) for subject, *session in labels]


def _identity(source: Sequence[str], reference: str, *, may_miss: bool) -> str:
    """Return the contrast by whose voxels a visit is known: one that every visit has."""
    return reference if may_miss else source[0]


def _recognized(derivatives: Path, place: Visit, identity: str) -> list[Identity]:
    """Return by what a visit is known; neither a flag nor a damaged table makes a stranger of somebody."""
    sidecars = (derivatives / names.visit_dir(place) / "anat").glob(f"*_desc-preproc_{identity}.json")
    found = set()
    for sidecar in sidecars:
        with suppress(DataError):
            found.add(str(read_json(sidecar).get("SourceSHA256", "")))
    return [Identity(place.label, f"sub-{place.subject}", sha256) for sha256 in sorted(found - {""})]


def _is_among(label: str | None, wanted: Sequence[str]) -> bool:
    return not wanted or label in wanted


def _look_at(
    derivatives: Path, place: Visit, source: Sequence[str], target: str, reference: str, *, may_miss: bool
) -> tuple[GatheredVisit | None, list[Skip]]:
    """Return what can be used of a visit, and what cannot and why: all of it, or its target or a source alone."""
    rows = on_reference(read_scans(derivatives / names.scans_table(place)), reference)
    if reference not in {row["contrast"] for row in rows}:
        hint = f"run the participant level with --reference {reference}"
        return None, [Skip(place.label, f"its table lists no {reference} that the others were aligned with", hint)]
    scans = tuple(scan_of(row, derivatives, place, reference) for row in rows)
    visit = Visit(place.subject, place.session, scans)
    flags = {row["contrast"]: row["flags"] for row in rows if row["flags"] != "n/a"}
    usable = [contrast for contrast in source if contrast in visit.contrasts and contrast not in flags]
    needed = [] if may_miss and usable else source
    reason = _unusable(visit, needed, reference, flags)
    if reason:
        return None, [Skip(visit.label, reason, SEE_REPORT)]
    doubts = [
        Skip(visit.label, f"{contrast} {consequence}: {flags[contrast]}", SEE_REPORT)
        for contrast, consequence in {
            **dict.fromkeys(source, "taken as missing"),
            target: "not learned from",
        }.items()
        if contrast in flags
    ]
    has_target = target in visit.contrasts and target not in flags
    read = [contrast if contrast in usable else None for contrast in source]
    identity = _identity(source, reference, may_miss=may_miss)
    found = _gathered(derivatives, visit, read, target if has_target else None, reference, identity)
    measured = {row["contrast"]: quality_of(row) for row in rows}
    pair = replace(found.pair, quality=tuple(measured[contrast] if contrast else {} for contrast in read))
    found = replace(found, pair=pair)
    return (_in_head(derivatives, found, reference) if target == CT else found), doubts


def _unusable(visit: Visit, source: Sequence[str], reference: str, flags: Mapping[str, str]) -> str:
    missing = [contrast for contrast in source if contrast not in visit.contrasts]
    if missing:
        return f"no {' and no '.join(missing)}"
    needed = dict.fromkeys((reference, *source))  # the reference gives grid and brain mask, source or not
    return "; ".join(
        f"{contrast} cannot be trusted: {flags[contrast]}" for contrast in needed if contrast in flags
    )


def _gathered(
    derivatives: Path,
    visit: Visit,
    source: Sequence[str | None],
    target: str | None,
    reference: str,
    identity: str,
) -> GatheredVisit:
    """Return a visit with those sources that are not ``None``, known by the voxels of the contrast `identity`."""
    scans = {contrast: visit.scan(contrast) for contrast in (*source, target) if contrast}
    files = {name: scan.path.with_name(names.sidecar(scan.path.name)) for name, scan in scans.items()}
    said = {name: read_json(file) for name, file in files.items()}
    scales = {name: _scale_of(said[name], file) for name, file in files.items()}
    known_by = read_json(derivatives / names.sidecar(names.preproc(visit, visit.scan(identity), reference)))
    mask = derivatives / names.brain_mask(visit, visit.scan(reference), reference)
    pair = Pair(
        visit=visit.label,
        participant=f"sub-{visit.subject}",
        sources=tuple(scans[contrast].path if contrast else None for contrast in source),
        mask=mask,
        target=scans[target].path if target else None,
        target_mask=derivatives / names.brain_mask(visit, scans[target], reference) if target else None,
        target_scale=scales[target] if target else None,
        fingerprint=str(known_by.get("SourceSHA256", "")),
        sloppy=any(map(is_sloppy, said.values())),
    )
    methods = {contrast: scale.method for contrast, scale in scales.items()}
    return GatheredVisit(visit, pair, methods, _spacing(mask))


def _in_head(derivatives: Path, gathered: GatheredVisit, reference: str) -> GatheredVisit:
    """Return a visit whose target is a CT: predicted in the head and around it, learned where it was scanned."""
    visit, pair = gathered.visit, gathered.pair
    head = derivatives / names.head_mask(visit, visit.scan(reference), reference)
    scanned = derivatives / names.measured_region(visit, visit.scan(CT), reference) if pair.target else None
    sidecars = [path and path.with_name(names.sidecar(path.name)) for path in pair.sources]
    zeros = tuple(None if sidecar is None else zero_of(read_scale(sidecar)) for sidecar in sidecars)
    around = replace(pair, mask=head, target_mask=scanned, margin_mm=CT_MARGIN_MM, zeros=zeros)
    return replace(gathered, pair=around)


def _spacing(mask: Path) -> tuple[float, ...]:
    """Return voxel edges in the order of the world's axes: grids differ in the order of their own."""
    try:
        affine = nib.Nifti1Image.from_filename(mask).affine
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError) as error:
        raise DataError(f"{mask}: cannot be read: {error}", RUN_AGAIN) from error
    order = np.argsort(nib.io_orientation(affine)[:, 0])
    return tuple(round(float(edge), 4) for edge in voxel_sizes(affine)[order])


def read_scale(sidecar: Path) -> Scale:
    """Return the intensity scale of a normalized image; `DataError` where its sidecar has none."""
    return _scale_of(read_json(sidecar), sidecar)


def _scale_of(said: Mapping[str, Any], sidecar: Path) -> Scale:
    try:
        return scale_from_json(said["IntensityScale"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{sidecar}: no intensity scale ({error})", RUN_AGAIN) from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a sidecar; `DataError` where it is missing or damaged."""
    try:
        content = text.read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: missing or damaged ({error})", RUN_AGAIN) from error
    return content if isinstance(content, dict) else {}
