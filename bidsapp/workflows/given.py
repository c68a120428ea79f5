"""What a run says of the files that other derivatives gave it, and of those that they lack."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bidsapp.imaging.brain import PRECOMPUTED
from bidsapp.records import CT
from bidsapp.workflows.method import method_of

if TYPE_CHECKING:
    from bidsapp.records import Scan, Visit
    from bidsapp.settings import Settings

log = logging.getLogger(__name__)


def tell_given(settings: Settings, visit: Visit) -> None:
    """Log every file that is taken from other derivatives, and warn where one was asked for and there is none.

    Parameters
    ----------
    settings : Settings
        Names the derivatives, and what is to be taken from them.
    visit : Visit
        What for.
    """
    if not settings.derivatives:
        return
    for scan in visit.scans:
        method = method_of(settings, visit, scan)
        for kind, file in (("image", method.image), ("mask", method.mask), ("transform", method.transform)):
            if file:
                log.info("%s: its %s is %s", scan.path, kind, file.path)
        if settings.bias_correction == PRECOMPUTED and method.image is None and scan.contrast != CT:
            _warn(scan, "--bias-correction", "preprocessed image", "N4 corrects the acquired one")
        # The brain of a reference without a mask is not searched for: its visit fails, and says so.
        if settings.skull_strip == PRECOMPUTED and method.mask is None and method.brain != PRECOMPUTED:
            _warn(scan, "--skull-strip", "brain mask", f"{method.brain} finds the brain")


def _warn(scan: Scan, option: str, what: str, instead: str) -> None:
    log.warning(
        "%s: no dataset of --derivatives has its %s for %s %s: %s", scan.path, what, option, PRECOMPUTED, instead
    )
