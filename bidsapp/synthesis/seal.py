"""What keeps a bundle what it was: the SHA-256 of every file in it. Imports nothing heavy.

A seal tells damage and changes, not who made them: whoever changes a file can seal it again. That a bundle is the
one which somebody published is told by its identity, ``Bundle.sha256``, beside the one that they name.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from bidsapp.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHECKSUM = "Checksum"
COPY = "copy the bundle again"
# Weights and text; nothing else has a place in a bundle, and nothing in it is ever run.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*\.(safetensors|tsv|json|md)")
DIGEST = re.compile(r"[0-9a-f]{64}")
# What file managers and hosts of models leave in folders; nobody reads it.
CLUTTER = frozenset({".DS_Store", "Thumbs.db", ".gitattributes"})


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a ``bundle.json`` with a checksum over all of it."""
    return {**content, CHECKSUM: _checksum(content)}


def check_seal(content: Mapping[str, Any], path: Path) -> None:
    """Raise `DataError` where the content of a ``bundle.json`` is not the one that was sealed."""
    if content.get(CHECKSUM) != _checksum(content):
        raise DataError(f"{path}: was changed after it was written", COPY)


def files_of(content: Mapping[str, Any], path: Path) -> dict[str, str]:
    """Return file → SHA-256 of all that a ``bundle.json`` lists.

    Raises
    ------
    DataError
        It lists what is no name of a file in the bundle's own folder, or a kind of file that could carry code.
    """
    listed: dict[str, str] = {}
    for part in ("Files", "Records"):
        files = content.get(part)
        if not isinstance(files, dict):
            raise DataError(f"{path}: {part!r} is missing", COPY)
        for name, digest in files.items():
            if not NAME.fullmatch(name) or name == path.name:
                raise DataError(f"{path}: lists {name!r}, which is no file of a bundle", "do not use this bundle")
            if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
                raise DataError(f"{path}: has no SHA-256 of {name}", COPY)
            listed[name] = digest
    return listed


def check_folder(folder: Path, listed: Mapping[str, str], manifest: str) -> None:
    """Raise `DataError` where a folder has other files than the listed ones, or a link that leads out of it."""
    home = folder.resolve()
    for entry in sorted(folder.iterdir()):
        if entry.name not in listed and entry.name != manifest and entry.name not in CLUTTER:
            raise DataError(f"{entry}: is no file of this bundle", "take it out, or copy the bundle again")
        if entry.is_symlink() and entry.resolve().parent != home:
            raise DataError(f"{entry}: is a link out of the bundle", "copy the bundle with cp -rL")
    missing = [name for name in listed if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder / missing[0]}: is missing", COPY)


def check_files(folder: Path, listed: Mapping[str, str]) -> None:
    """Raise `DataError` where a file is not the one that was sealed."""
    for name, digest in listed.items():
        if file_sha256(folder / name) != digest:
            raise DataError(f"{folder / name}: was changed after it was written", COPY)


def hashes(folder: Path) -> dict[str, str]:
    """Return file → SHA-256 of all that is in a folder."""
    return {file.name: file_sha256(file) for file in sorted(folder.iterdir())}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits; `DataError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", "run the step that wrote it again") from error


def digest_of(content: object) -> str:
    """Return the SHA-256 of plain JSON types, whatever the order of names."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _checksum(content: Mapping[str, Any]) -> str:
    return digest_of({name: value for name, value in content.items() if name != CHECKSUM})
