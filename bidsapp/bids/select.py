"""From a raw BIDS dataset to the visits of a run, and the reasons for everything left out."""

from __future__ import annotations

import difflib
import logging
import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bidsapp.bids.contrasts import check_contrasts
from bidsapp.bids.index import images_of, layout_of
from bidsapp.bids.raw import complaint, named_images, scan_of, suffix_of, visit_of
from bidsapp.bids.shards import part_of
from bidsapp.errors import InvalidBidsError, NoInputError, NothingSelectedError, UsageError
from bidsapp.records import Selection, Skip, Unused, Visit
from bidsapp.text import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bids import BIDSLayout

    from bidsapp.records import Scan
    from bidsapp.settings import Settings

log = logging.getLogger(__name__)


def select(settings: Settings, tell: Callable[..., None] = lambda *_: None) -> Selection:
    """Find the visits that a run works on.

    Parameters
    ----------
    settings : Settings
        Dataset, labels, filters and contrasts.
    tell : callable
        Is given the `Skip` of everybody who is left out, also where an error follows.

    Returns
    -------
    Selection
        Visits with the reference contrast, one scan for each contrast; the others with a reason, and participants
        without an image, too.

    Raises
    ------
    InvalidBidsError
        The folder is no BIDS dataset.
    NothingSelectedError
        Labels or filters match nothing.
    NoInputError
        The dataset has no participant.
    UsageError
        The filter file cannot be used, or the group level needs a contrast that nobody has.
    """
    check_dataset(settings)
    participants = _participants(settings)
    if not participants:  # more shards than participants
        return Selection((), ())
    layout = layout_of(settings, participants)
    contrasts = settings.wanted
    filters = read_filters(settings.bids_filter_file, contrasts, layout.get_entities())
    images = _selected(settings, images_of(layout, participants))
    found = {c: _images(layout, c, filters.get(c, {}), images) for c in contrasts}
    visits, skipped = _visits(settings, found, images)
    skipped += _without_image(settings, participants, images)
    tell(*skipped)
    if not images and settings.shard is None:
        raise NothingSelectedError(
            f"{settings.bids_dir}: no image of {', '.join(participants)} is selected",
            "check --session-label and --bids-filter-file",
        )
    check_contrasts(settings, found, images)
    return Selection(tuple(visits), tuple(skipped), tuple(_unused(settings, found, images, visits)))


def check_dataset(settings: Settings) -> None:
    """Raise `InvalidBidsError` where the folder has no readable ``dataset_description.json``."""
    description = settings.bids_dir / "dataset_description.json"
    hint = "point bids_dir at the folder that holds it, or give --skip-bids-validation"
    if not settings.bids_dir.is_dir():
        raise NoInputError(f"{settings.bids_dir}: no such folder", "check the path, and what the container mounts")
    if settings.skip_bids_validation:
        return
    try:
        content = read_json(description)
    except OSError as error:
        raise InvalidBidsError(f"{description}: {error.strerror}", hint) from error
    except ValueError as error:
        raise InvalidBidsError(f"{description}: no JSON: {error}", hint) from error
    if isinstance(content, dict) and content.get("DatasetType") == "derivative":
        message = f"{description}: a derivative dataset, whose images were processed before"
        raise InvalidBidsError(message, "give the raw one, or --skip-bids-validation if you mean it")
    missing = [name for name in ("Name", "BIDSVersion") if not isinstance(content, dict) or name not in content]
    if missing:
        raise InvalidBidsError(f"{description}: {' and '.join(missing)} missing", hint)


def read_filters(
    path: Path | None, contrasts: Sequence[str], entities: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Read a filter file: contrast (in any case) → pybids entity → value.

    Raises
    ------
    UsageError
        No JSON object, or a contrast or entity that is unknown.
    """
    if path is None:
        return {}
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}", "give --bids-filter-file a JSON file") from error
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise UsageError(
            f"{path}: not an object of objects", 'write for example {"T1w": {"acquisition": "mprage"}}'
        )
    by_case = {contrast.lower(): contrast for contrast in contrasts}
    known = set(entities)
    for contrast, filters in content.items():
        if contrast.lower() not in by_case:
            raise UsageError(f"{path}: unknown contrast {contrast}", f"this run knows {', '.join(contrasts)}")
        for entity, value in filters.items():
            if not all(part is None or isinstance(part, str | int | float) for part in _parts(value)):
                hint = "write a label, a number, null, or a list of them"
                raise UsageError(f"{path}: {entity} of {contrast} is no filter: {value!r}"[:400], hint)
        for entity in sorted(set(filters) - known):
            raise UsageError(f"{path}: unknown entity {entity}", f"pybids knows {', '.join(sorted(known))}")
    return {by_case[contrast.lower()]: filters for contrast, filters in content.items()}


def _parts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _participants(settings: Settings) -> list[str]:
    """Return the labels of the participants of a run, or of its shard; an unknown label is an error."""
    with os.scandir(settings.bids_dir) as entries:
        there = sorted(e.name.removeprefix("sub-") for e in entries if e.name.startswith("sub-") and e.is_dir())
    if not there:
        raise NoInputError(f"{settings.bids_dir}: no sub-* folder", "point bids_dir at a BIDS dataset")
    unknown = [label for label in settings.participant_label if label not in there]
    if unknown:
        near = difflib.get_close_matches(unknown[0], there) or there[:5]
        raise NothingSelectedError(
            f"{settings.bids_dir}: no participant {', '.join(unknown)}", f"there is for example {', '.join(near)}"
        )
    return part_of(list(settings.participant_label) or there, settings.shard)


def _selected(settings: Settings, paths: Iterable[str]) -> list[str]:
    """Return the images of the requested sessions, in the order of their names."""
    images = named_images(settings.bids_dir, paths)
    wanted = settings.session_label
    return [path for path in images if visit_of(path)[1] in wanted] if wanted else images


def _images(layout: BIDSLayout, contrast: str, filters: Mapping[str, Any], selected: Sequence[str]) -> list[str]:
    query = {"suffix": contrast, "extension": [".nii", ".nii.gz"], **filters}
    matching = {file.path for file in layout.get(**query)}
    return [path for path in selected if path in matching]


def _visits(
    settings: Settings, found: Mapping[str, Sequence[str]], images: Sequence[str]
) -> tuple[list[Visit], list[Skip]]:
    """Group images by visit; a visit without the reference is skipped by name."""
    rivals = Counter((visit_of(path), suffix_of(path)) for path in images)
    scans: dict[tuple[str, str | None], list[Scan]] = {visit_of(path): [] for path in images}
    for contrast, paths in found.items():
        for path in paths:
            only = rivals[visit_of(path), suffix_of(path)] == 1
            scans[visit_of(path)].append(scan_of(settings.bids_dir, path, contrast, only=only))
    visits: list[Visit] = []
    skipped: list[Skip] = []
    for (subject, session), of_visit in sorted(scans.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        visit = _visit(settings, Visit(subject, session, tuple(of_visit)))
        if isinstance(visit, Visit):
            visits.append(visit)
        else:
            skipped.append(visit)
    return visits, skipped


def _without_image(settings: Settings, participants: Iterable[str], images: Iterable[str]) -> Iterator[Skip]:
    """Yield the participants of whom no image is selected, or it would seem that no run has come to them."""
    sessions = " or ".join(f"ses-{label}" for label in settings.session_label)
    reason = f"no image in anat/ or ct/ {f'of {sessions} ' if sessions else ''}is selected"
    there = {visit_of(path)[0] for path in images}
    for label in dict.fromkeys(participants):
        if label not in there:
            yield Skip(f"sub-{label}", reason, "check its folder, and --session-label")


def _visit(settings: Settings, offered: Visit) -> Visit | Skip:
    """Return a visit with one usable scan for each contrast, or why there is none."""
    by_contrast: dict[str, list[Scan]] = {}
    refused: dict[str, list[str]] = {}
    for scan in offered.scans:
        if problem := complaint(scan):
            refused.setdefault(scan.contrast, []).append(problem)
        else:
            by_contrast.setdefault(scan.contrast, []).append(scan)
    visit = replace(offered, scans=tuple(_one(scans, settings) for scans in by_contrast.values()))
    if settings.reference not in by_contrast:
        has = f" (it has {', '.join(visit.contrasts)})" if visit.contrasts else ""
        reasons = refused.get(settings.reference, [f"no {settings.reference}{has}"])
        return Skip(visit.label, "; ".join(reasons), "every visit needs the reference")
    for problems in refused.values():
        log.warning("%s: a scan is left out: %s", visit.label, "; ".join(problems))
    return visit


def _unused(
    settings: Settings, found: Mapping[str, Sequence[str]], images: Sequence[str], visits: Sequence[Visit]
) -> Iterator[Unused]:
    """Yield the images of these visits that are not used, with the reason."""
    by_place = {(visit.subject, visit.session): visit for visit in visits}
    for path in images:
        visit = by_place.get(visit_of(path))
        if visit is None:
            continue
        contrast = suffix_of(path)
        scan = scan_of(settings.bids_dir, path, contrast, only=False)
        used = {scan.contrast: scan.path for scan in visit.scans}
        if scan.path in used.values():
            continue
        if not any(path in paths for paths in found.values()):
            filtered = contrast in found
            reason = "--bids-filter-file leaves it out" if filtered else f"no {contrast} is asked for: --contrasts"
        else:
            reason = complaint(scan) or f"{used[contrast].name} is used" if contrast in used else complaint(scan)
        yield Unused(visit.label, scan.path, reason)


def _one(scans: Sequence[Scan], settings: Settings) -> Scan:
    """Return the scan of a contrast to use: the first in BIDS order, or the best, as the policy says."""
    if len(scans) == 1:
        return scans[0]
    used = scans[0]
    if scans[0].contrast == settings.reference and settings.reference_policy == "best":
        from bidsapp.imaging.choice import best_image

        used = scans[best_image([scan.path for scan in scans])]
    names = ", ".join(scan.path.name for scan in scans if scan is not used)
    log.warning("%s is used, not %s; --bids-filter-file decides otherwise", used.path.name, names)
    return used
