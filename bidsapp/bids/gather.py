"""From derivatives to pairs: what the participant level has left for the group level."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bidsapp.bids import names
from bidsapp.errors import DataError
from bidsapp.records import Pair, Scan, Skip, Visit, scale_from_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bidsapp.records import Scale

RUN_AGAIN = "run the participant level again"
SEE_REPORT = "see the visit's report"
FILE_NAME = re.compile(
    r"sub-(?P<sub>[^_]+)(?:_ses-(?P<ses>[^_]+))?(?P<rest>(?:_[a-z]+-[^_]+)*)_desc-normalized_(?P<contrast>[^_.]+)\.nii\.gz"
)


@dataclass(frozen=True)
class GatheredVisit:
    """A visit as the derivatives have it: its scans (normalized images), and what learning needs of it."""

    visit: Visit
    pair: Pair


@dataclass(frozen=True)
class Gathered:
    """What was found.

    Attributes
    ----------
    visits : tuple of GatheredVisit
        Visits with all sources.
    skipped : tuple of Skip
        Visits without, or whose source or reference is not to be trusted.
    dropped : tuple of Skip
        Visits whose target is not to be trusted: predicted, not learned from.
    damaged : tuple of Skip
        Visits with a sidecar or table that is missing or cannot be read.
    """

    visits: tuple[GatheredVisit, ...]
    skipped: tuple[Skip, ...]
    dropped: tuple[Skip, ...]
    damaged: tuple[Skip, ...]


def gather(derivatives: Path, source: tuple[str, ...], target: str, reference: str) -> Gathered:
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

    Returns
    -------
    Gathered
    """
    visits: list[GatheredVisit] = []
    skipped: list[Skip] = []
    dropped: list[Skip] = []
    damaged: list[Skip] = []
    for visit in find_visits(derivatives):
        try:
            flags = read_flags(derivatives / names.scans_table(visit))
            reason = _unusable(visit, source, reference, flags)
            if reason:
                skipped.append(Skip(visit.label, reason, SEE_REPORT))
                continue
            with_target = target in visit.contrasts and not flags.get(target)
            pair = _pair(derivatives, visit, source, target if with_target else None, reference)
        except DataError as error:
            damaged.append(Skip(visit.label, error.message, error.hint))
            continue
        visits.append(GatheredVisit(visit, pair))
        if target in visit.contrasts and not with_target:
            dropped.append(Skip(visit.label, f"{target} not learned from: {flags[target]}", SEE_REPORT))
    return Gathered(tuple(visits), tuple(skipped), tuple(dropped), tuple(damaged))


def find_visits(derivatives: Path) -> list[Visit]:
    """Return the visits that have normalized images, with these images as their scans."""
    found: dict[tuple[str, str | None], list[Scan]] = {}
    for path in sorted(derivatives.glob("sub-*/**/anat/*_desc-normalized_*.nii.gz")):
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            continue
        entities = dict(part.split("-", 1) for part in match["rest"].split("_") if part)
        entities.pop("space", None)
        found.setdefault((match["sub"], match["ses"]), []).append(Scan(path, match["contrast"], entities))
    return [Visit(subject, session, tuple(scans)) for (subject, session), scans in found.items()]


def read_flags(table: Path) -> dict[str, str]:
    """Return contrast → why its scan is not to be trusted, for those that are not."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return {row["contrast"]: row["flags"] for row in rows if row["flags"] != "n/a"}
    except (OSError, KeyError) as error:
        raise DataError(f"{table}: missing or damaged ({error})", RUN_AGAIN) from error


def _unusable(visit: Visit, source: Sequence[str], reference: str, flags: dict[str, str]) -> str:
    missing = [contrast for contrast in source if contrast not in visit.contrasts]
    if missing:
        return f"no {' and no '.join(missing)}"
    needed = dict.fromkeys((reference, *source))  # the reference gives grid and brain mask, source or not
    return "; ".join(
        f"{contrast} cannot be trusted: {flags[contrast]}" for contrast in needed if flags.get(contrast)
    )


def _pair(derivatives: Path, visit: Visit, source: Sequence[str], target: str | None, reference: str) -> Pair:
    scans = [visit.scan(contrast) for contrast in source]
    wanted = None if target is None else visit.scan(target)
    first = _read_json(derivatives / names.sidecar(names.preproc(visit, scans[0], reference)))
    return Pair(
        visit=visit.label,
        participant=f"sub-{visit.subject}",
        sources=tuple(scan.path for scan in scans),
        mask=derivatives / names.brain_mask(visit, visit.scan(reference), reference),
        target=None if wanted is None else wanted.path,
        target_mask=None if wanted is None else derivatives / names.brain_mask(visit, wanted, reference),
        target_scale=None
        if wanted is None
        else read_scale(wanted.path.with_name(names.sidecar(wanted.path.name))),
        fingerprint=str(first.get("SourceSHA256", "")),
    )


def read_scale(sidecar: Path) -> Scale:
    """Return the intensity scale of a normalized image; `DataError` where its sidecar has none."""
    try:
        return scale_from_json(_read_json(sidecar)["IntensityScale"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{sidecar}: no intensity scale ({error})", RUN_AGAIN) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: missing or damaged ({error})", RUN_AGAIN) from error
    return content if isinstance(content, dict) else {}
