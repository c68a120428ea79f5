"""Which visits a network may see: those whose images are on the intensity scale and the grid that it knows."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from bidsapp.errors import UsageError
from bidsapp.records import Skip
from bidsapp.settings import visit_scale
from bidsapp.synthesis.manifest import Images

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bidsapp.bids.gather import Gathered, GatheredVisit
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle

log = logging.getLogger(__name__)

# By which share voxel edges may leave the range of those that were learned from.
SPACING_TOLERANCE = 0.05


def training_images(settings: Settings, visits: Sequence[GatheredVisit]) -> Images:
    """Return what images a training on these visits reads.

    Parameters
    ----------
    settings : Settings
        Contrasts and normalization.
    visits : sequence of GatheredVisit
        Those on the scale of the settings and with a target give the range of voxel edges.
    """
    methods = {c: visit_scale(settings.normalization, c) for c in (*settings.source, settings.target)}
    learned = [visit for visit in visits if settings.target in visit.methods]
    edges = [visit.spacing_mm for visit in learned if visit.methods.items() <= methods.items()]
    # None with a target: nothing will be learned, and the reason is said where pairs are split.
    axes = list(zip(*(edges or [visit.spacing_mm for visit in visits]), strict=True))
    spacing = tuple(map(min, axes)), tuple(map(max, axes))
    if any(high > low * (1 + SPACING_TOLERANCE) for low, high in zip(*spacing, strict=True)):
        log.warning("voxels of visits that are learned from differ: %s to %s mm", *map(_edges, spacing))
    return Images(settings.normalization, settings.reference, methods, spacing)


def check_contrasts(settings: Settings, source: tuple[str, ...], target: str, model: object) -> None:
    """Raise `UsageError` where a bundle predicts another contrast, or from others, than the settings ask for."""
    if (source, target) != (settings.source, settings.target):
        raise UsageError(
            f"{model}: predicts {target} from {','.join(source)}, "
            f"not {settings.target} from {','.join(settings.source)}",
            "leave out --source and --target, which the bundle brings; or give another bundle",
        )


def check_asked(settings: Settings, images: Images, model: object) -> None:
    """Raise `UsageError` where a bundle reads other images than the settings ask for."""
    if images.reference != settings.reference:
        raise UsageError(
            f"{model}: reads images on the grid of the {images.reference}, not of the {settings.reference}",
            f"give --reference {images.reference}, at the participant level, too",
        )
    asked = {contrast: visit_scale(settings.normalization, contrast) for contrast in images.methods}
    if asked != images.methods:
        raise UsageError(
            f"{model}: reads images of --normalization {images.normalization}, not {settings.normalization}",
            f"give --normalization {images.normalization}, at the participant level, too; or another bundle",
        )


def admit(gathered: Gathered, images: Images, target: str) -> Gathered:
    """Leave out visits whose sources are on another scale or grid, and targets that are on another scale.

    Parameters
    ----------
    gathered : Gathered
        What the participant level left.
    images : Images
        What the network reads, or is going to learn from.
    target : str
        The contrast that is predicted.

    Returns
    -------
    Gathered
        What was left out is among its ``skipped`` and ``dropped``.

    Raises
    ------
    UsageError
        There were visits, and none is left.
    """
    visits, skipped, dropped = [], list(gathered.skipped), list(gathered.dropped)
    for visit in gathered.visits:
        scales = _other_scales(visit, images)
        doubt = scales.pop(target, "")
        reason, hint = "; ".join(scales.values()), f"--normalization {images.normalization}"
        if not reason and not _on_grid(visit, images):
            reason, hint = _other_grid(visit, images)
        if reason:
            skipped.append(Skip(visit.pair.visit, reason, f"run the participant level with {hint}"))
            continue
        visits.append(_without_target(visit, target) if doubt else visit)
        if doubt:
            hint = f"run the participant level with --normalization {images.normalization}"
            dropped.append(Skip(visit.pair.visit, f"not learned from or compared with: {doubt}", hint))
    if gathered.visits and not visits:
        raise UsageError(f"no visit fits, for example {skipped[-1].visit}: {skipped[-1].reason}", skipped[-1].hint)
    return replace(gathered, visits=tuple(visits), skipped=tuple(skipped), dropped=tuple(dropped))


def _other_scales(visit: GatheredVisit, images: Images) -> dict[str, str]:
    """Return contrast → what is wrong, for those that are on another intensity scale."""
    return {
        contrast: f"{contrast} is on the intensity scale {method}, not {images.methods[contrast]}"
        for contrast, method in visit.methods.items()
        if method != images.methods[contrast]
    }


def _on_grid(visit: GatheredVisit, images: Images) -> bool:
    low, high = 1 - SPACING_TOLERANCE, 1 + SPACING_TOLERANCE
    return all(
        least * low <= edge <= greatest * high
        for edge, least, greatest in zip(visit.spacing_mm, *images.spacing_mm, strict=True)
    )


def _other_grid(visit: GatheredVisit, images: Images) -> tuple[str, str]:
    least, greatest = map(_edges, images.spacing_mm)
    known = least if least == greatest else f"{least} to {greatest}"
    return (
        f"its voxels are {_edges(visit.spacing_mm)} mm, those that were learned from {known} mm",
        "the --resolution of those",
    )


def _without_target(visit: GatheredVisit, target: str) -> GatheredVisit:
    methods = {contrast: method for contrast, method in visit.methods.items() if contrast != target}
    pair = replace(visit.pair, target=None, target_mask=None, target_scale=None)
    return replace(visit, pair=pair, methods=methods)


def _edges(spacing: Sequence[float]) -> str:
    return " × ".join(f"{edge:g}" for edge in spacing)


def named_bundle(settings: Settings, path: Path | None) -> Bundle | None:
    """Return the bundle that was named, which must do what was asked for; ``None`` where none was.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    path : Path or None
        ``--model`` or ``--init-from``.
    """
    from bidsapp.synthesis.bundle import read_bundle

    if path is None:
        return None
    bundle = read_bundle(path)
    if bundle.initializer and path == settings.model:
        log.warning("%s predicts badly and is meant as a start: give it to --init-from", bundle.name)
    check_contrasts(settings, bundle.plan.sources, bundle.plan.target, bundle.path)
    check_asked(settings, bundle.images, bundle.path)
    return bundle
