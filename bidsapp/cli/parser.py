"""From words on a command line to `Settings`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bidsapp import __version__
from bidsapp.cli.checks import check, said_by
from bidsapp.cli.words import Labels, contrasts, dataset, memory
from bidsapp.errors import UnknownLevelError, UsageError
from bidsapp.settings import (
    AUGMENTATIONS,
    BIAS_CORRECTIONS,
    DEVICES,
    LEVELS,
    LOSSES,
    NETWORKS,
    NORMALIZATIONS,
    NORMS,
    REFERENCE_POLICIES,
    REGISTRATIONS,
    SKULL_STRIPPERS,
    TEMPLATE_REGISTRATIONS,
    Settings,
    read_toml,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# What shapes a training, and nothing else.
TRAINING = ("network", "norm", "loss", "augmentation", "ema", "lr", "epochs")
POSITIONALS = ("bids_dir", "output_dir", "levels")


class _Parser(argparse.ArgumentParser):
    """Raises `UsageError` where argparse would exit with its own status."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see {self.prog} --help")


def settings_from(words: Sequence[str]) -> Settings:
    """Read a command line.

    Options win over ``--config-file``, which wins over the defaults of `Settings`. Paths become absolute, so that
    a run can be repeated from anywhere.

    Parameters
    ----------
    words : sequence of str
        Without the program's name.

    Returns
    -------
    Settings
        Consistent: contradictions are errors.

    Raises
    ------
    UsageError
        An option is unknown, has a bad value or contradicts another; an argument is missing.
    UnknownLevelError
        The level is neither ``participant`` nor ``group``.
    NoInputError
        There is no such bundle.
    """
    given = {
        k: v for k, v in vars(build_parser().parse_intermixed_args(words)).items() if v is not None and v != []
    }
    shaping = [name for name in TRAINING if name in given]
    if "model" in given and shaping:
        raise UsageError(f"--model trains nothing, --{shaping[0]} says how to train", "give one of them")
    config = given.pop("config_file", None)
    values = {**(read_toml(config) if config else {}), **given}
    missing = [name for name in POSITIONALS if not values.get(name)]
    if missing:
        raise UsageError(f"missing: {', '.join(missing)}", "synthprep bids_dir output_dir {participant,group}")
    values = {name: value.absolute() if isinstance(value, Path) else value for name, value in values.items()}
    values = {**said_by(values.get("model")), **values}
    values["derivatives"] = tuple(dataset(word) for word in values.get("derivatives", ()))
    values["output_spaces"] = tuple(values.get("output_spaces", ()))
    for name in ("participant_label", "session_label"):
        values[name] = tuple(dict.fromkeys(values.get(name, ())))
    settings = Settings(**{**values, "levels": _levels(values["levels"])})
    check(settings)
    if "template_registration" in given and not settings.spaces:
        raise UsageError("--template-registration: there is no template to register to", "give --output-spaces")
    return settings


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; what is not given is absent from its result, so that defaults live in `Settings`."""
    parser = _Parser(
        prog="synthprep",
        description="Give a BIDS dataset the MRI contrast that some of its visits lack.",
        epilog="Example: synthprep /data /out participant group --source T1w --target FLAIR",
        usage="synthprep [options] bids_dir output_dir {participant,group}",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    # None, because argparse would turn a suppressed default of a positional into a Path of its own.
    optional = {"default": None, "nargs": "?", "type": Path}
    parser.add_argument("bids_dir", **optional, help="the raw BIDS dataset, never written to")
    parser.add_argument("output_dir", **optional, help="where the derivatives are written")
    parser.add_argument("levels", nargs="*", metavar="{participant,group}", help="one level or both")
    parser.add_argument("--version", action="version", version=f"synthprep {__version__}")
    _add_selection(parser.add_argument_group("which images"))
    _add_preprocessing(parser.add_argument_group("preprocessing"))
    _add_synthesis(parser.add_argument_group("what to predict, and how"))
    _add_resources(parser.add_argument_group("resources"))
    _add_run(parser.add_argument_group("the run"))
    return parser


def _add_selection(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        action=Labels,
        prefix="sub-",
        metavar="LABEL",
        help="only these participants, at both levels: labels, with or without sub-, or a text file of them",
    )
    group.add_argument(
        "--session-label",
        "--session-id",
        nargs="+",
        action=Labels,
        prefix="ses-",
        metavar="LABEL",
        help="only these sessions, in the same way",
    )
    group.add_argument("--bids-filter-file", type=Path, metavar="JSON", help="contrast → pybids entities")
    group.add_argument(
        "--skip-bids-validation", action="store_true", help="go on without dataset_description.json"
    )


def _add_preprocessing(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--reference",
        metavar="T1w",
        help=f"contrast that every visit needs and has its grid ({_default('reference')})",
    )
    group.add_argument(
        "--reference-policy",
        choices=REFERENCE_POLICIES,
        help=f"which of several is used; best: finest voxels, least motion ({_default('reference_policy')})",
    )
    group.add_argument(
        "-d",
        "--derivatives",
        nargs="+",
        action="extend",
        metavar="NAME=PATH",
        help="datasets whose transforms are used and, where precomputed is asked for, brain masks and images",
    )
    group.add_argument(
        "--contrasts", type=contrasts, metavar="T2w[,ct]", help="further contrasts to preprocess, where acquired"
    )
    group.add_argument(
        "--bias-correction",
        choices=BIAS_CORRECTIONS,
        help="of MR images; precomputed: take the preprocessed images of --derivatives, where there are some "
        f"({_default('bias_correction')})",
    )
    group.add_argument("--write-bias-field", action="store_true", help="write the bias field beside the image")
    group.add_argument(
        "--skull-strip",
        choices=SKULL_STRIPPERS,
        help="how the brain is found on MR images; precomputed: by --derivatives; skip: they came without skull; "
        f"auto: deepbet, and a template where that fails ({_default('skull_strip')})",
    )
    group.add_argument(
        "--registration", choices=REGISTRATIONS, help=f"to the reference ({_default('registration')})"
    )
    group.add_argument(
        "--resolution",
        metavar="MM",
        help=f"voxel edges of the visit's grid: 1, 1,1,2 or native ({_default('resolution')})",
    )
    group.add_argument(
        "--output-spaces",
        nargs="+",
        metavar="SPACE",
        help="standard spaces to write preprocessed images in, too, NAME[:res-MM]: MNI152NLin2009aSym, which is "
        "carried along, or a template of a local TEMPLATEFLOW_HOME",
    )
    group.add_argument(
        "--template-registration",
        choices=TEMPLATE_REGISTRATIONS,
        help=f"of the reference to their templates ({_default('template_registration')})",
    )
    group.add_argument(
        "--normalization",
        metavar=f"{{{','.join(NORMALIZATIONS)}}}",
        help=f"intensity scale of MR images ({_default('normalization')})",
    )


def _add_synthesis(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--source", type=contrasts, metavar="T1w[,T2w]", help=f"contrasts to predict from ({_default('source')})"
    )
    group.add_argument("--target", metavar="FLAIR", help=f"contrast to predict ({_default('target')})")
    group.add_argument("--network", choices=NETWORKS, help=f"what to train ({_default('network')})")
    group.add_argument("--loss", choices=LOSSES, help="what its training minimizes (what suits the network)")
    group.add_argument(
        "--augmentation",
        choices=AUGMENTATIONS,
        help="how training patches vary; physics: with bias field, blur, motion and such (what suits the network)",
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
        help=f"normalization of --network seed-resnet ({_default('norm')})",
    )
    group.add_argument(
        "--no-baseline", dest="baseline", action="store_false", help="do not train the article's network beside it"
    )
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
        help="learn and measure only between these percentages of the brain's height, such as 20,80",
    )
    group.add_argument("--model", type=Path, metavar="BUNDLE", help="apply a trained bundle, train nothing")
    group.add_argument(
        "--max-minutes",
        type=float,
        metavar="N",
        help=f"time of the group level ({_default('max_minutes')}); with --crossval of each fold and network",
    )
    group.add_argument(
        "--max-steps", type=int, metavar="N", help="steps of each training, for runs that repeat to the bit"
    )
    group.add_argument(
        "--epochs",
        type=float,
        metavar="N",
        help="the same, counted in epochs: each draws as many voxels as all brains have that are learned from",
    )


def _add_resources(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--nprocs", "--n-cpus", type=int, metavar="N", help="processes at a time")
    group.add_argument(
        "--omp-nthreads",
        type=int,
        metavar="N",
        help="threads of the group level; every step of the participant level takes one, so that it repeats",
    )
    group.add_argument("--mem", dest="mem_gb", type=memory, metavar="16G", help="memory; a bare number is MB")
    group.add_argument("--device", choices=DEVICES, help=f"where networks run ({_default('device')})")


def _add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-w", "--work-dir", type=Path, metavar="DIR", help="intermediate files (OUTPUT_DIR/work)")
    group.add_argument("--config-file", type=Path, metavar="TOML", help="settings of an earlier run")
    group.add_argument("--dry-run", action="store_true", help="print what would be processed, and stop")
    group.add_argument(
        "--seed",
        "--random-seed",
        type=int,
        metavar="N",
        help=f"seed of the group level ({_default('seed')}); the participant level always takes the same one",
    )
    group.add_argument("--sloppy", action="store_true", help="coarse and quick, for tests only")
    group.add_argument("--stop-on-first-crash", action="store_true", help="stop at the first failure")
    group.add_argument("--debug", action="store_true", help="show where an error came from")
    group.add_argument("--notrack", action=_Nothing, nargs=0, help="accepted; nothing ever leaves the machine")
    group.add_argument("-v", "--verbose", dest="verbosity", action="count", help="say more; twice: say everything")


class _Nothing(argparse.Action):
    def __call__(self, *_: Any, **__: Any) -> None:
        """Accept the option and do nothing."""


def _default(name: str) -> str:
    value = getattr(Settings, name)
    return (
        ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
    )


def _levels(words: Sequence[str]) -> tuple[str, ...]:
    unknown = [word for word in words if word not in LEVELS]
    if unknown:
        raise UnknownLevelError(f"unknown level {unknown[0]}", f"there are {' and '.join(LEVELS)}")
    return tuple(level for level in LEVELS if level in words)
