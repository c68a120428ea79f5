"""The command ``synthprep-phantom``: simulate a cohort to try the tool on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp.cli.endings import command
from bidsapp.cli.words import CommandParser
from bidsapp.errors import CannotCreateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.errors import ExitCode

CONTRASTS = ("T1w", "T2w", "FLAIR")


@command("synthprep-phantom")
def main(words: Sequence[str]) -> ExitCode | None:
    """Run the command."""
    _simulate(_parse(words))


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = CommandParser(prog="synthprep-phantom", description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="DIR", help="an empty or new folder")
    parser.add_argument("--participants", type=int, default=6, metavar="N", help="how many (6)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, another cohort (0)")
    parser.add_argument("--resolution", type=float, default=1.0, metavar="MM", help="voxel edge of the T1w (1)")
    parser.add_argument(
        "--contrasts", default="T1w,FLAIR", metavar="T1w,FLAIR", help="the last is withheld at times"
    )
    parser.add_argument(
        "--randomize",
        action="store_true",
        help="another scanner, anatomy and quality for everybody, beyond what studies hold: to train on",
    )
    parser.add_argument("--complete", action="store_true", help="one session of everybody, nothing withheld")
    return parser


def _parse(words: Sequence[str]) -> argparse.Namespace:
    given = build_parser().parse_args(words)
    given.contrasts = tuple(dict.fromkeys(given.contrasts.replace(" ", "").split(",")))
    if given.contrasts[0] != "T1w" or len(given.contrasts) < 2 or not set(given.contrasts) <= set(CONTRASTS):
        raise UsageError(f"--contrasts {','.join(given.contrasts)}", "give T1w first, then T2w, FLAIR or both")
    if given.participants < 1 or given.seed < 0 or not 0.5 <= given.resolution <= 4:
        raise UsageError("a number is out of range", "1 or more participants, seed ≥ 0, 0.5 to 4 mm")
    return given


def _simulate(given: argparse.Namespace) -> None:
    from bidsapp.console import progress_bar
    from bidsapp.phantom.cohort import plan_visits, simulate_cohort

    folder: Path = given.folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: exists and is not empty", "give a new folder")
    total = len(plan_visits(given.participants, given.contrasts[-1], complete=given.complete))
    try:
        with progress_bar("simulating", total=total) as update:
            visits = simulate_cohort(
                folder,
                participants=given.participants,
                seed=given.seed,
                resolution=given.resolution,
                contrasts=given.contrasts,
                randomized=given.randomize,
                complete=given.complete,
                on_visit=update,
            )
    except OSError as error:
        raise CannotCreateError(f"{error.filename or folder}: {error.strerror}", "give another folder") from error
    lacking = sum(visit.lacks is not None for visit in visits)
    sys.stderr.write(
        f"synthprep-phantom: {len(visits)} visits, {lacking} without {given.contrasts[-1]}: {folder}\n"
    )
