"""From words on a command line to `Settings`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp import __version__
from bidsapp.cli.bundles import said_by
from bidsapp.cli.checks import check
from bidsapp.cli.cluster import add_cluster
from bidsapp.cli.options import add_preprocessing, add_resources, add_run, add_selection, add_synthesis
from bidsapp.cli.planned import unfolded
from bidsapp.cli.reporting import add_reporting, check_reporting
from bidsapp.cli.words import CommandParser, dataset
from bidsapp.config import read_toml
from bidsapp.errors import UnknownLevelError, UsageError
from bidsapp.settings import LEVELS, MATCH_NORMALIZED, Settings
from bidsapp.synthesis.library import resolved
from bidsapp.synthesis.overrides import split

if TYPE_CHECKING:
    from collections.abc import Sequence

# What shapes a training, and nothing else.
TRAINING = (
    *("network", "norm", "loss", "augmentation", "sampling", "ema", "lr", "epochs", "plan"),
    *("input_mode", "slice_axis", "allow_missing_source"),
)
POSITIONALS = ("bids_dir", "output_dir", "levels")


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
        option = shaping[0].replace("_", "-")
        raise UsageError(f"--model trains nothing, --{option} says how to train", "give one of them")
    config = given.pop("config_file", None)
    if "max_minutes" in given and "minutes" in split(given.get("plan", ())):
        raise UsageError("--max-minutes and --plan minutes both limit a training", "give one of them")
    values = {**(unfolded(read_toml(config)) if config else {}), **unfolded(given)}
    missing = [name for name in POSITIONALS if not values.get(name)]
    if missing:
        raise UsageError(f"missing: {', '.join(missing)}", "synthprep bids_dir output_dir {participant,group}")
    values |= {name: resolved(values[name]) for name in ("model", "init_from") if values.get(name)}
    values = {name: value.absolute() if isinstance(value, Path) else value for name, value in values.items()}
    values = {**said_by(values.get("model"), values.get("init_from")), **values}
    if values.get("match_to") not in {None, MATCH_NORMALIZED}:
        values["match_to"] = str(Path(values["match_to"]).absolute())
    values["derivatives"] = tuple(dataset(word) for word in values.get("derivatives", ()))
    values["output_spaces"] = tuple(values.get("output_spaces", ()))
    for name in ("participant_label", "session_label"):
        values[name] = tuple(dict.fromkeys(values.get(name, ())))
    settings = Settings(**{**values, "levels": _levels(values["levels"])})
    check(settings)
    check_reporting(settings)
    if "template_registration" in given and not settings.spaces:
        raise UsageError("--template-registration: there is no template to register to", "give --output-spaces")
    return settings


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; what is not given is absent from its result, so that defaults live in `Settings`."""
    parser = CommandParser(
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
    add_selection(parser.add_argument_group("which images"))
    add_preprocessing(parser.add_argument_group("preprocessing"))
    add_synthesis(parser.add_argument_group("what to predict, and how"))
    add_resources(parser.add_argument_group("resources"))
    add_run(parser.add_argument_group("the run"))
    add_cluster(parser.add_argument_group("many jobs"))
    add_reporting(parser.add_argument_group("about the run"))
    return parser


def _levels(words: Sequence[str]) -> tuple[str, ...]:
    unknown = [word for word in words if word not in LEVELS]
    if unknown:
        raise UnknownLevelError(f"unknown level {unknown[0]}", f"there are {' and '.join(LEVELS)}")
    return tuple(level for level in LEVELS if level in words)
