"""The command ``synthprep-slices``: preprocessed images as 2D slices for other software, and slices as images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp.cli.endings import command
from bidsapp.cli.words import CommandParser
from bidsapp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.errors import ExitCode


@command("synthprep-slices")
def main(words: Sequence[str]) -> ExitCode | None:
    """Run the command."""
    given = _parse(words)
    (_assemble if given.assemble else _write)(given)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = CommandParser(prog="synthprep-slices", description=__doc__, allow_abbrev=False)
    parser.add_argument("source", type=Path, metavar="DERIVATIVES", help="output folder of the participant level")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    back = "the way back: DERIVATIVES is a folder of slices, OUT gets images by the names that they had"
    parser.add_argument("--assemble", action="store_true", help=back)
    contrasts = "the first is what a visit must have (T1w); with --assemble those to make (all)"
    parser.add_argument("--contrasts", metavar="T1w,FLAIR", help=contrasts)
    parser.add_argument("--images", choices=("normalized", "preproc"), default="normalized", help="(normalized)")
    axes = ("axial", "coronal", "sagittal")
    parser.add_argument("--slice-axis", choices=axes, default="axial", help="what is cut across (axial)")
    parser.add_argument("--format", choices=("tiff", "npy"), default="tiff", help="float32 both (tiff)")
    extent = "percent of the brain's extent along the axis that is written, such as 20,80"
    parser.add_argument("--range", metavar="LOW,HIGH", help=extent)
    background = "leave out slices in which under 1 %% of the voxels exceed this percentile of the first contrast"
    parser.add_argument("--background", type=float, metavar="P", help=background)
    return parser


def _parse(words: Sequence[str]) -> argparse.Namespace:
    given = build_parser().parse_args(words)
    names = (word.strip() for word in (given.contrasts or "").split(","))
    given.contrasts = tuple(dict.fromkeys(name for name in names if name))
    given.range = _range(given.range) if given.range else None
    if given.background is not None and not 0 <= given.background < 100:
        raise UsageError(f"--background {given.background:g}", "give a percentile, 0 or more and below 100")
    return given


def _range(word: str) -> tuple[float, float]:
    try:
        low, high = (float(number) for number in word.split(","))
    except ValueError as error:
        raise UsageError(f"--range {word}", "give two percentages, such as 20,80") from error
    if not 0 <= low < high <= 100:
        raise UsageError(f"--range {word}", "give two percentages from 0 to 100, the lower first")
    return low, high


def _write(given: argparse.Namespace) -> None:
    from bidsapp.formats.pictures import ENDINGS
    from bidsapp.formats.slices import SliceOptions, write_slices

    options = SliceOptions(
        given.contrasts or ("T1w",),
        given.images,
        given.slice_axis,
        ENDINGS[given.format],
        given.range,
        given.background,
    )
    written = write_slices(given.source, given.out, options)
    for label, why in written.left_out.items():
        sys.stderr.write(f"synthprep-slices: left out: {label}: {why}\n")
    sys.stderr.write(f"synthprep-slices: {written.slices} slices of {len(written.visits)} visits: {given.out}\n")


def _assemble(given: argparse.Namespace) -> None:
    from bidsapp.formats.assembly import assemble

    images = assemble(given.source, given.out, given.contrasts)
    sys.stderr.write(f"synthprep-slices: {len(images)} images: {given.out}\n")
