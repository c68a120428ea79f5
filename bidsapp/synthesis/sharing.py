"""A copy of a bundle for others: the same networks, a licence, and no label of anybody."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bidsapp.errors import CannotCreateError
from bidsapp.synthesis.bundle import INITIALIZER, finish, read_bundle
from bidsapp.synthesis.card import CARD_FILE, UNDECIDED
from bidsapp.synthesis.manifest import BUNDLE_FILE, read_manifest
from bidsapp.synthesis.partial import partial_folder
from bidsapp.synthesis.pseudonyms import pseudonyms, renamed
from bidsapp.synthesis.seal import file_sha256, files_of

if TYPE_CHECKING:
    from pathlib import Path

    from bidsapp.synthesis.bundle import Bundle


def share(
    path: Path, goal: Path, licence: str = UNDECIDED, notes: str = "", *, initializer: bool = False
) -> Bundle:
    """Write a copy of a bundle in which pseudonyms take the place of labels, with a new card.

    Participants are known by the voxels of their scans, so it predicts what the bundle predicts: it has the same
    identity, and gives a training participant the network that never saw them.

    Parameters
    ----------
    path : Path
        The bundle.
    goal : Path
        Folder of the copy, which is not there yet.
    licence, notes : str
        See `model_card`.
    initializer : bool
        See `Bundle`.

    Returns
    -------
    Bundle
        The copy.

    Raises
    ------
    DataError
        The bundle is not what it says.
    CannotCreateError
        The goal exists, or cannot be written.
    """
    bundle, content = read_bundle(path), read_manifest(path)
    if goal.exists():
        raise CannotCreateError(f"{goal}: exists", "give a new folder")
    names = pseudonyms(bundle.everybody)
    try:
        with partial_folder(goal) as temporary:
            for name in files_of(content, path / BUNDLE_FILE):
                if name.endswith(".safetensors"):
                    shutil.copyfile(path / name, temporary / name)
                elif name != CARD_FILE:
                    text = (path / name).read_text(encoding="utf-8")
                    (temporary / name).write_text(renamed(text, names), encoding="utf-8")
            files = {name: file_sha256(temporary / name) for name in content["Files"]}
            use = {"Use": INITIALIZER} if initializer else {}
            finish(temporary, goal, {**content, **use, "Files": files}, licence=licence, notes=notes)
    except OSError as error:
        raise CannotCreateError(f"{error.filename or goal}: {error.strerror}", "give another folder") from error
    return read_bundle(goal)
