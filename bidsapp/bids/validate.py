"""The official validator on what a run reads of a raw dataset, where that program is installed."""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp.errors import InvalidBidsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bidsapp.records import Visit
    from bidsapp.settings import Settings

log = logging.getLogger(__name__)

PROGRAM = "bids-validator-deno"
# What describes the dataset; the rest of it is not read, and not judged.
ROOT_FILES = ("dataset_description.json", ".bidsignore", "README", "README.md")
# Errors of an image's content, which cost its visit alone.
CONTENT = ("EMPTY_FILE", "NIFTI_")
SHOWN = 3


def validate(settings: Settings, visits: Iterable[Visit]) -> None:
    """Raise `InvalidBidsError` where the validator finds an error in the files that are to be read.

    It is shown a folder of links to them. What an image holds is judged later, and costs its own visit; a CT,
    which BIDS does not know, is nobody's error.

    Parameters
    ----------
    settings : Settings
        The dataset, and whether it is to be validated.
    visits : iterable of Visit
        Their images are read.
    """
    if settings.skip_bids_validation:
        return
    program = find_program()
    if program is None:
        log.info("the dataset is not validated: %s is not installed", PROGRAM)
        return
    with tempfile.TemporaryDirectory(prefix="synthprep-") as folder:
        images = [scan.path for visit in visits for scan in visit.scans]
        link_what_is_read(settings.bids_dir, images, Path(folder))
        errors = [issue for issue in _issues(program, Path(folder)) if counts(issue)]
    if errors:
        said = "; ".join(_said(issue) for issue in errors[:SHOWN])
        more = f"; and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
        hint = f"correct it ({PROGRAM} {settings.bids_dir} tells more), or give --skip-bids-validation"
        raise InvalidBidsError(f"{settings.bids_dir}: no valid BIDS: {said}{more}", hint)


def find_program() -> str | None:
    """Return the validator on the path, or the one that is installed beside this program."""
    beside = Path(sys.executable).with_name(PROGRAM)
    return shutil.which(PROGRAM) or (str(beside) if beside.is_file() else None)


def link_what_is_read(root: Path, images: Sequence[Path], folder: Path) -> None:
    """Fill a folder with links to images, to all their sidecars, and to what describes the dataset."""
    wanted = {root / name for name in ROOT_FILES}
    sidecars = functools.cache(lambda above: list(above.glob("*.json")))
    for image in images:
        inside = [above for above in image.parents if above.is_relative_to(root)]
        wanted |= {image} | {file for above in inside for file in sidecars(above) if _belongs(file, image)}
    for file in sorted(wanted):
        if file.exists():  # a link without content is said of its own visit
            link = folder / os.path.relpath(file, root)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.absolute())


def counts(issue: dict[str, Any]) -> bool:
    """Return whether an issue is an error, and not of a CT nor of what is inside an image."""
    place = str(issue.get("location", ""))
    of_ct = "/ct/" in place or place.endswith("/ct") or "_ct." in place
    of_content = str(issue.get("code", "")).startswith(CONTENT) and place.endswith((".nii", ".nii.gz"))
    return issue.get("severity") == "error" and not of_ct and not of_content


def _belongs(sidecar: Path, image: Path) -> bool:
    """Return whether a sidecar has an image's suffix and no entity that it lacks, as inheritance demands."""
    (*entities, suffix), (*own, own_suffix) = (file.name.split(".")[0].split("_") for file in (image, sidecar))
    return own_suffix == suffix and set(own) <= set(entities)


def _issues(program: str, folder: Path) -> Iterator[dict[str, Any]]:
    words = [program, str(folder), "--format", "json", "--ignoreNiftiHeaders", "--ignoreWarnings"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    try:
        yield from json.loads(found.stdout)["issues"]["issues"]
    except (ValueError, KeyError, TypeError):
        said = (found.stderr.strip().splitlines() or ["it said nothing"])[-1]
        log.warning("the dataset is not validated: %s ended with status %d: %s", program, found.returncode, said)


def _said(issue: dict[str, Any]) -> str:
    code, place = issue.get("code"), str(issue.get("location", "")).lstrip("/")
    more = issue.get("subCode") or (str(issue.get("issueMessage", "")).splitlines() or [""])[0]
    return f"{place}: {code}" + (f" ({more})" if more else "")
