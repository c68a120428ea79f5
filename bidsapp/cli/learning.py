"""The options that say how a network learns."""

from __future__ import annotations

import argparse
from pathlib import Path

from bidsapp.cli.words import default
from bidsapp.settings import AUGMENTATIONS, INPUT_MODES, LOSSES, MAX_MINUTES, NORMS, SAMPLINGS, SLICE_AXES


def add_folds(group: argparse._ArgumentGroup) -> None:
    """Add the options that say from whom and where a network learns, and whom it is tested on."""
    group.add_argument("--crossval", action="store_true", help="leave one participant out, to measure")
    group.add_argument(
        "--splits",
        type=Path,
        metavar="TSV",
        help="folds to use again: splits.tsv of a bundle, or any table with the columns participant and fold",
    )
    group.add_argument(
        "--stratify",
        metavar="COLUMN",
        help="of participants.tsv: folds are alike in it; give it at both levels, the first carries it along",
    )
    group.add_argument(
        "--axial-range",
        metavar="LOW,HIGH",
        help="learn and measure only between these percentages of the brain's height, for a CT the head's, "
        "such as 20,80",
    )


def add_training(group: argparse._ArgumentGroup) -> None:
    """Add the options of a training: what a step is shown, what it minimizes, and how many there are."""
    group.add_argument(
        "--input-mode",
        choices=INPUT_MODES,
        help="what the network is shown at once: 3D patches, whole 3D volumes, slabs (2.5D: a slice with two "
        f"neighbours on either side), 2D slices, or patches of 2D slices ({default('input_mode')})",
    )
    group.add_argument("--slice-axis", choices=SLICE_AXES, help="the plane of 2D and 2.5D slices (axial)")
    group.add_argument(
        "--loss",
        choices=LOSSES,
        help="what its training minimizes; l1+gradient+bone: of a CT, with three times the weight in bone (what "
        "suits the network)",
    )
    group.add_argument(
        "--augmentation",
        choices=AUGMENTATIONS,
        help="how training patches vary; physics: with bias field, blur, motion and such; spatial: with small "
        "rotations and scalings (what suits the network)",
    )
    group.add_argument(
        "--sampling",
        choices=SAMPLINGS,
        help="where training patches are drawn: evenly in the brain, or after the warm-up more often where errors "
        "are large (what suits the network)",
    )
    group.add_argument(
        "--ema",
        type=float,
        metavar="SHARE",
        help="average the weights over about this share of the steps, 0 to 0.28 (what suits the network)",
    )
    group.add_argument(
        "--lr",
        metavar="auto|RATE",
        help="peak learning rate; auto: found by a range test of 100 steps (what suits the network)",
    )
    group.add_argument(
        "--norm",
        metavar=f"{{{','.join(NORMS)}}}",
        help=f"normalization of --network seed-resnet ({default('norm')})",
    )
    group.add_argument(
        "--plan",
        nargs="+",
        action="extend",
        metavar="FIELD=VALUE",
        help="set fields of the plan, such as patch=48 channels=32,64,128 batch=2; --dry-run shows them all",
    )
    _add_length(group)


def _add_length(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--max-minutes",
        type=float,
        metavar="N",
        help="time of the group level, of which trainings share six tenths; with --crossval of each fold and "
        f"network ({MAX_MINUTES:g} where neither --max-steps nor --epochs is given)",
    )
    group.add_argument(
        "--max-steps",
        type=int,
        metavar="N",
        help="steps of each training; without --max-minutes, which would end it, too, a run with --device cpu "
        "repeats to the bit",
    )
    group.add_argument(
        "--epochs",
        type=float,
        metavar="N",
        help="the same, counted in epochs: each draws as many voxels as all brains have that are learned from",
    )
