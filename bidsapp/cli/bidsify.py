"""The command ``synthprep-bidsify``: a BIDS dataset of DICOM, PAR/REC, MINC, MetaImage, NRRD, Analyze and more."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp.cli.endings import command
from bidsapp.cli.words import CommandParser
from bidsapp.errors import ExitCode, NoInputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.formats.conversion import Outcome
    from bidsapp.formats.sorting import Sorted


@command("synthprep-bidsify")
def main(words: Sequence[str]) -> ExitCode | None:
    """Run the command; return an `ExitCode`."""
    return _run(_parse(words))


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = CommandParser(prog="synthprep-bidsify", description=__doc__, allow_abbrev=False)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the folder that the images lie in")
    parser.add_argument("bids_dir", type=Path, metavar="BIDS_DIR", help="a new dataset, or one to add to")
    which = parser.add_mutually_exclusive_group(required=True)
    table = "columns source, participant, session, contrast, and if needed acq, ce, rec, run, volume, handedness …"
    which.add_argument("--mapping", type=Path, metavar="TSV", help=table)
    recipe = (
        "the dataset's name (IXI, Kirby21, BrainWeb, BraTS, ISBI2015, CQ500, OASIS, ADNI), or your own .toml file"
    )
    which.add_argument("--recipe", metavar="NAME", help=recipe)
    which.add_argument("--guess", action="store_true", help="guess from names and headers, and show the table")
    parser.add_argument("--yes", action="store_true", help="convert what was guessed; otherwise it is only shown")
    subjects = "scan, participant, session: where a recipe's file names do not say who was scanned"
    parser.add_argument("--subjects", type=Path, metavar="TSV", help=subjects)
    parser.add_argument("--name", metavar="TEXT", help="name of a new dataset (that of the recipe or BIDS_DIR)")
    side = "of Analyze: the first voxel of a row is the patient's right (radiological) or left; never guessed"
    parser.add_argument("--handedness", choices=("radiological", "neurological"), help=side)
    tilt = "sheared axes, such as a tilted gantry's: refuse them (default), or interpolate onto straight axes"
    parser.add_argument("--tilt", choices=("refuse", "resample"), default="refuse", help=tilt)
    parser.add_argument("--remove-table", action="store_true", help="of a CT: what is not at the head becomes air")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace images that were made from something else"
    )
    return parser


def _parse(words: Sequence[str]) -> argparse.Namespace:
    given = build_parser().parse_args(words)
    if given.yes and not given.guess:
        raise UsageError("--yes goes with --guess", "leave it out")
    if given.subjects and not given.recipe:
        raise UsageError("--subjects goes with --recipe", "a mapping names participants itself")
    return given


def _run(given: argparse.Namespace) -> ExitCode:
    from bidsapp.formats.conversion import as_app_error

    try:
        return _convert(given)
    except OSError as error:
        raise as_app_error(error, given.bids_dir) from error


def _convert(given: argparse.Namespace) -> ExitCode:
    from bidsapp.console import progress_bar
    from bidsapp.formats.conversion import convert
    from bidsapp.formats.dataset import check_root
    from bidsapp.formats.mapping import check_items
    from bidsapp.formats.volume import ReadOptions

    logging.getLogger("nibabel").setLevel(logging.ERROR)
    chosen, name, licence = _chosen(given)
    for line in chosen.reasons():
        sys.stderr.write(f"synthprep-bidsify: left out: {line}\n")
    if given.guess and not given.yes:
        return _show(given, chosen)
    check_items(chosen.items)
    check_root(given.bids_dir, given.source)
    options = ReadOptions(given.handedness, tilt=given.tilt, remove_table=given.remove_table)
    with progress_bar("converting", total=len(chosen.items)) as update:
        outcome = convert(
            chosen.items,
            given.source,
            given.bids_dir,
            options,
            name=given.name or name,
            licence=licence,
            overwrite=given.overwrite,
            on_item=update,
        )
    outcome.refused[:0] = chosen.refused
    code = _say_refused(outcome)
    sys.stderr.write(
        f"synthprep-bidsify: {len(outcome.converted)} converted, {len(outcome.unchanged)} there already, "
        f"{len(outcome.refused)} refused: {given.bids_dir} [exit {int(code)}]\n"
    )
    return code


def _chosen(given: argparse.Namespace) -> tuple[Sorted, str, str]:
    """Return what is to be converted, and name and licence of the dataset."""
    from bidsapp.formats.discover import check_folder, discover
    from bidsapp.formats.guessing import guess
    from bidsapp.formats.mapping import read_mapping
    from bidsapp.formats.recipes import apply_recipe, read_recipe
    from bidsapp.formats.sorting import Sorted

    name = given.bids_dir.resolve().name  # not of the source, which is often called as a patient is
    if given.mapping:
        check_folder(given.source)
        return Sorted(read_mapping(given.mapping, given.source)), name, ""
    recipe = read_recipe(given.recipe) if given.recipe else None
    if recipe is not None and recipe.already_bids:
        apply_recipe(recipe, [])
    found = discover(given.source)
    if not found:
        raise NoInputError(f"{given.source}: no image of a format that is known here", "look into the folder")
    if recipe is None:
        return guess(found), name, ""
    return apply_recipe(recipe, found, given.subjects), recipe.name, recipe.license


def _say_refused(outcome: Outcome) -> ExitCode:
    for error in outcome.refused:
        sys.stderr.write(f"synthprep-bidsify: refused: {error}\n")
    return outcome.exit_code


def _show(given: argparse.Namespace, chosen: Sorted) -> ExitCode:
    """Print the guess as a table that ``--mapping`` takes; the status is that of converting it."""
    from bidsapp.formats.conversion import Outcome
    from bidsapp.formats.mapping import write_mapping

    if chosen.items:
        sys.stdout.write(write_mapping(chosen.items, given.source))
        sys.stderr.write(
            "synthprep-bidsify: this is a guess, and nothing was written. If it is right: --guess --yes. If not: "
            f"keep the table, mend it, and give it as --mapping ({len(chosen.items)} images)\n"
        )
    return _say_refused(Outcome([item.goal for item in chosen.items], refused=chosen.refused))
