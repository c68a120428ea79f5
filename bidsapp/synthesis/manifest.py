"""``bundle.json``: its format, and what it says of the images that its networks read. Imports nothing heavy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bidsapp.errors import DataError
from bidsapp.synthesis.seal import check_seal, sealed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BUNDLE_FILE = "bundle.json"
# 2: says what images its networks read. 3: they predict the scale of their error; it is sealed, and has a card.
FORMAT = 3
# Bytes; no training writes a thousandth of it.
LARGEST = 16_000_000
HINT = "name a folder that holds bundle.json, as the group level writes it to models/"


@dataclass(frozen=True)
class Images:
    """What the images are like that a network was trained on; it knows no others.

    Attributes
    ----------
    normalization : str
        The setting, ``ravel``.
    reference : str
        The contrast whose grid the images of a visit share.
    methods : Mapping of str to str
        Contrast → method of the intensity scale that the participant level gave it, ``whitestripe``.
    spacing_mm : tuple of tuple of float
        Least and greatest voxel edges along left-right, front-back and up-down.
    """

    normalization: str
    reference: str
    methods: Mapping[str, str]
    spacing_mm: tuple[tuple[float, ...], tuple[float, ...]]

    def to_json(self) -> dict[str, Any]:
        """Return what ``bundle.json`` writes."""
        return {
            "Normalization": self.normalization,
            "Reference": self.reference,
            "Methods": dict(self.methods),
            "SpacingMM": [list(edges) for edges in self.spacing_mm],
        }


@dataclass(frozen=True)
class Origin:
    """The bundle that a training started from.

    Attributes
    ----------
    name, version, sha256 : str
        See `bidsapp.synthesis.bundle.Bundle`.
    networks : tuple of int
        Which of its networks each fold started from.
    """

    name: str
    version: str
    sha256: str
    networks: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what ``bundle.json`` and sidecars write."""
        return {
            "Name": self.name,
            "Version": self.version,
            "SHA256": self.sha256,
            "Networks": list(self.networks),
        }


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the content of a bundle's ``bundle.json``.

    Raises
    ------
    DataError
        It is missing, no JSON, of another format, or not as it was written.
    """
    path = folder / BUNDLE_FILE
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: too large for a bundle's", HINT)
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", HINT) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: no JSON: {error}", HINT) from error
    if not isinstance(content, dict) or "Plan" not in content:
        raise DataError(f"{path}: not a bundle", HINT)
    found = content.get("Format", 1)
    if found != FORMAT:
        raise DataError(
            f"{path}: a bundle of format {found}; this version of the software reads format {FORMAT}",
            "train it again, or use the version that wrote it",
        )
    check_seal(content, path)
    return content


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write a bundle's ``bundle.json`` and seal it."""
    text = json.dumps(sealed(content), indent=2, allow_nan=False)
    (folder / BUNDLE_FILE).write_text(text + "\n", encoding="utf-8")


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def contrasts_of(manifest: Mapping[str, Any], folder: Path) -> tuple[tuple[str, ...], str]:
    """Return the sources and the target that a manifest names; `DataError` names the folder that it came from."""
    try:
        return tuple(map(str, manifest["Plan"]["sources"])), str(manifest["Plan"]["target"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / BUNDLE_FILE}: {error} is missing", HINT) from error


def images_of(manifest: Mapping[str, Any], folder: Path) -> Images:
    """Return what a manifest says of images; `DataError` names the folder that it came from."""
    try:
        said = manifest["Images"]
        least, greatest = (tuple(map(float, edges)) for edges in said["SpacingMM"])
        return Images(said["Normalization"], said["Reference"], dict(said["Methods"]), (least, greatest))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / BUNDLE_FILE}: {error} is missing", HINT) from error


def origin_of(manifest: Mapping[str, Any], folder: Path) -> Origin | None:
    """Return the bundle that a training started from, if it did; `DataError` names the folder it came from."""
    said = manifest.get("InitializedFrom")
    if said is None:
        return None
    try:
        return Origin(said["Name"], said["Version"], said["SHA256"], tuple(map(int, said["Networks"])))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / BUNDLE_FILE}: {error} is missing", HINT) from error
