"""Participants without their labels: named by a hash of their scans, which whoever has a scan can find again.

A label can be guessed from its hash by trying all of them, the voxels of a scan cannot. So nothing is salted: a
pseudonym tells nothing to who does not have the scan already, and the same bundle always gets the same ones.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from bidsapp.synthesis.seal import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bidsapp.synthesis.splits import Split

DIGITS = 12
LABEL = re.compile(r"[A-Za-z0-9+_-]+")


def pseudonyms(splits: Iterable[Split]) -> dict[str, str]:
    """Return label → pseudonym of all participants and visits of a bundle.

    Parameters
    ----------
    splits : iterable of Split
        `Bundle.everybody`: one label there is one participant here.

    Returns
    -------
    dict
        ``sub-04`` → ``sub-1f2e3d4c5b6a``, of the SHA-256 of the fingerprints of all their visits, and
        ``sub-04_ses-B`` → ``sub-1f2e3d4c5b6a_ses-2``, in the order of the splits. Pseudonyms stay what they are.
    """
    visits: dict[str, dict[str, None]] = {}
    prints: dict[str, set[str]] = {}
    for split in splits:
        visits.setdefault(split.participant, {})[split.visit] = None
        prints.setdefault(split.participant, set()).add(split.fingerprint)
    names: dict[str, str] = {}
    for number, (participant, own) in enumerate(visits.items()):
        known = sorted(filter(None, prints[participant])) or [str(number)]
        name = f"sub-{hashlib.sha256(' '.join(known).encode()).hexdigest()[:DIGITS]}"
        names.update({visit: f"{name}_ses-{place}" for place, visit in enumerate(own, start=1)})
        names[participant] = name  # last: where there are no sessions, a visit has the same label
    return names


def renamed(text: str, names: Mapping[str, str]) -> str:
    """Return a text, a table or JSON, in which every label has its pseudonym."""
    return LABEL.sub(lambda word: names.get(word[0], word[0]), text)


def identity(folder: Path, content: Mapping[str, Any], everybody: Iterable[Split]) -> str:
    """Return the SHA-256 of all that a bundle's predictions depend on.

    Labels count as their pseudonyms, so that a copy for others is the bundle that sidecars cite.

    Parameters
    ----------
    folder : Path
        Where the files are.
    content : mapping
        Of its ``bundle.json``.
    everybody : iterable of Split
        See `pseudonyms`.
    """
    names = pseudonyms(everybody)
    files = {
        name: digest
        if name.endswith(".safetensors")
        else digest_of(renamed((folder / name).read_text(encoding="utf-8"), names))
        for name, digest in content["Files"].items()
    }
    return digest_of({**{name: content[name] for name in ("Plan", "Images", "TargetScale")}, "Files": files})
