"""Images, masks and transforms that other derivative datasets already have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp.bids import names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bidsapp.records import Scan, Visit


@dataclass(frozen=True)
class Given:
    """A file of a dataset that ``--derivatives`` names: where it lies, and its BIDS URI."""

    path: Path
    uri: str


def datasets(words: Sequence[str]) -> Mapping[str, Path]:
    """Return name → folder of ``NAME=PATH`` words, in their order."""
    pairs = (word.partition("=") for word in words)
    return {name: Path(path) for name, _, path in pairs}


def find_mask(words: Sequence[str], visit: Visit, scan: Scan, reference: str) -> Given | None:
    """Return the first brain mask that derivative datasets hold of a scan, in the scan's own space.

    Parameters
    ----------
    words : sequence of str
        ``NAME=PATH`` each, as ``--derivatives`` takes them.
    visit : Visit
        Whose.
    scan : Scan
        What for. Names are tried with all its entities and then, if the raw visit has no other scan of its
        contrast, with none; ``desc-brainFLAIR`` before ``desc-brain``, which is the reference's.
    reference : str
        Contrast of the reference.

    Returns
    -------
    Given or None
        None where no dataset has one.
    """
    labels = [f"brain{scan.contrast}", *(["brain"] if scan.contrast == reference else [])]
    tried = [
        names.path(visit, {**entities, "desc": label}, "mask", ".nii.gz")
        for label in labels
        for entities in _entities(scan)
    ]
    return _first(words, tried)


def find_image(words: Sequence[str], visit: Visit, scan: Scan) -> Given | None:
    """Return the first preprocessed image, in the scan's own space, that derivative datasets hold."""
    tried = [
        names.path(visit, {**entities, "desc": "preproc"}, scan.contrast, ".nii.gz")
        for entities in _entities(scan)
    ]
    return _first(words, tried)


def find_transform(words: Sequence[str], visit: Visit, scan: Scan, reference: str) -> Given | None:
    """Return the first linear ITK text transform of a scan to the reference that derivative datasets hold."""
    return _first(words, [names.transform(visit, scan, reference)])


def _entities(scan: Scan) -> tuple[Mapping[str, str], ...]:
    """Return what a file of a scan may be named by; where a visit has several runs, a bare name may mean any."""
    return (scan.entities, {}) if scan.only else (scan.entities,)


def _first(words: Sequence[str], tried: Sequence[str]) -> Given | None:
    known = datasets(words).items()
    found = (Given(root / path, f"bids:{name}:{path}") for name, root in known for path in tried)
    return next((given for given in found if given.path.is_file()), None)
