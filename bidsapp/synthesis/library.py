"""Bundles that come with the software, by name. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp.synthesis.manifest import BUNDLE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1] / "models"


def packaged() -> dict[str, Path]:
    """Return name → folder of the bundles that come with the software."""
    return {folder.name: folder for folder in bundles_in(FOLDER)}


def bundles_in(folder: Path) -> Iterator[Path]:
    """Yield the bundles that a folder is, has, or has in its ``models/``, by name."""
    if (folder / BUNDLE_FILE).is_file():
        yield folder
    for pattern in ("*", "models/*"):
        yield from (file.parent for file in sorted(folder.glob(f"{pattern}/{BUNDLE_FILE}")))


def resolved(named: Path) -> Path:
    """Return a bundle's folder: the path as it is, or where there is none the packaged bundle of that name."""
    return named if named.exists() else packaged().get(str(named), named)


def known_names() -> str:
    """Return what a hint says of the bundles that come with the software."""
    names = ", ".join(packaged())
    return f"or the name of one that comes with the software: {names}" if names else "none comes with the software"
