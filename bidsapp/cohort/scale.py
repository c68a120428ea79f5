"""Fit the scale of a cohort, and bring its visits there."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bidsapp.cohort.files import RUN_AGAIN, CohortFiles
from bidsapp.cohort.ravel import RavelCohort
from bidsapp.cohort.standards import Standards
from bidsapp.errors import DataError
from bidsapp.records import CT, Skip
from bidsapp.scales import Population, zero_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.bids.gather import GatheredVisit
    from bidsapp.settings import Settings

log = logging.getLogger(__name__)


def fit_population(settings: Settings, visits: Sequence[GatheredVisit]) -> Population:
    """Learn the scale of every contrast but CT, visit by visit, from those whose target is learned from.

    Visits without a target do not count, so that a new one asks for no new training, nor those that lack a source.

    Parameters
    ----------
    settings : Settings
        Folders, sources, target, the method.
    visits : sequence of GatheredVisit
        All; one that cannot be read is left out, and said.

    Returns
    -------
    Population
        For the bundle.

    Raises
    ------
    DataError
        There are too few visits to learn from.
    """
    way = _way(settings, settings.normalization)
    contrasts = [c for c in (*settings.source, settings.target) if c != CT]
    seen: list[Any] = []
    for gathered in visits:
        if gathered.pair.target is None or None in gathered.pair.sources:
            continue
        try:
            seen.append((gathered.visit, way.look_at(gathered.visit, contrasts)))
        except DataError as error:
            log.warning("%s does not count for the scale of the cohort: %s", gathered.pair.visit, error)
    if not seen:
        raise DataError(f"no visit can be read to fit --normalization {settings.normalization} to", RUN_AGAIN)
    return way.fit(seen, contrasts)


def apply_population(
    settings: Settings, visits: Sequence[GatheredVisit], population: Population
) -> tuple[list[GatheredVisit], list[Skip]]:
    """Write each visit's images on the scale of a cohort.

    Parameters
    ----------
    settings : Settings
        Folders, sources, target.
    visits : sequence of GatheredVisit
        With images on the scale of the participant level.
    population : Population
        From `fit_population`, of this cohort or of the one that a bundle was trained on.

    Returns
    -------
    list of GatheredVisit
        The same visits with images on the new scale.
    list of Skip
        Those with an image that cannot be brought there.
    """
    way = _way(settings, population.method)
    done, damaged = [], []
    for gathered in visits:
        try:
            done.append(_standardized(settings, way, gathered, population))
        except DataError as error:
            damaged.append(Skip(gathered.pair.visit, error.message, error.hint))
    return done, damaged


def _standardized(
    settings: Settings, way: Standards | RavelCohort, gathered: GatheredVisit, population: Population
) -> GatheredVisit:
    visit, pair = gathered.visit, gathered.pair
    done = {
        contrast: way.apply(visit, contrast, population)
        for contrast, path in zip(settings.source, pair.sources, strict=True)
        if path is not None and contrast != CT
    }
    sources = [done[c][0] if c in done else path for c, path in zip(settings.source, pair.sources, strict=True)]
    changes: dict[str, Any] = {"sources": tuple(sources)}
    if pair.zeros:
        changes["zeros"] = tuple(zero_of(done[c][1]) if c in done else None for c in settings.source)
    if pair.target is not None and settings.target != CT:
        changes["target"], changes["target_scale"] = way.apply(visit, settings.target, population)
    return replace(gathered, pair=replace(pair, **changes))


def _way(settings: Settings, method: str) -> Standards | RavelCohort:
    files = CohortFiles(settings)
    return RavelCohort(files) if method == "ravel" else Standards(files, method)
