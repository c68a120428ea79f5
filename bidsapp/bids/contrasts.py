"""Contrasts that were asked for and that nobody has: most often a misspelt name."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING

from bidsapp.bids.raw import suffix_of
from bidsapp.bids.scans import listed_contrasts
from bidsapp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bidsapp.settings import Settings

log = logging.getLogger(__name__)


def check_contrasts(settings: Settings, found: Mapping[str, Sequence[str]], images: Iterable[str]) -> None:
    """Warn of contrasts that no selected visit has; stop where the group level could then only fail.

    One participant of a job array may well lack a contrast, so that the participant level alone only warns. The
    group level reads all derivatives: what a participant of an earlier run has is there, too.

    Parameters
    ----------
    settings : Settings
        Contrasts, levels, and the derivatives.
    found : Mapping of str to sequence of str
        Contrast → images of the selected visits.
    images : iterable of str
        All images of the selected visits.

    Raises
    ------
    UsageError
        The group level is to run, and neither a selected visit nor the derivatives have a source, or the target
        that is to be learned.
    """
    there = sorted({suffix_of(path) for path in images})
    missing = [contrast for contrast, paths in found.items() if not paths]
    fatal = [contrast for contrast in missing if _is_needed(settings, contrast)]
    if fatal:
        derived = listed_contrasts(settings.output_dir)
        fatal = [contrast for contrast in fatal if contrast not in derived]
    for contrast in missing:
        message = f"no selected visit has a {contrast}"
        if contrast in fatal:
            role = "predict from" if contrast in settings.source else "learn"
            hint = f"{near(contrast, there)}; --bids-filter-file and labels may leave it out, too"
            raise UsageError(f"{message}: there is nothing to {role}", hint)
        log.warning("%s (%s)", message, near(contrast, there))


def near(contrast: str, there: Sequence[str]) -> str:
    """Return which existing contrasts a name may mean, ``did you mean T2w?``, or else what there is."""
    by_case = {name.lower(): name for name in there}
    close = difflib.get_close_matches(contrast.lower(), by_case)
    if contrast.lower() in by_case:
        close = [contrast.lower()]
    if close:
        return f"did you mean {' or '.join(by_case[name] for name in close)}?"
    return f"there is {', '.join(there)}"


def _is_needed(settings: Settings, contrast: str) -> bool:
    """Return whether the group level cannot do without a contrast."""
    if "group" not in settings.levels or contrast == settings.reference:
        return False  # visits without the reference are skipped by name
    known = settings.model or settings.init_from
    if known is not None and settings.allow_missing_source and contrast in settings.source:
        return False  # its networks know the source, and do without; visits that lack all are skipped by name
    return contrast in settings.source or (contrast == settings.target and settings.model is None)
