"""From words on a command line to `Settings`."""

from __future__ import annotations

import argparse
import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bidsapp import __version__
from bidsapp.errors import UnknownLevelError, UsageError
from bidsapp.settings import LEVELS, NETWORKS, Settings, read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY_UNITS = {"": 1e-3, "M": 1e-3, "MB": 1e-3, "MIB": 2**20 / 1e9, "G": 1.0, "GB": 1.0, "GIB": 2**30 / 1e9}
DEVICES = ("auto", "cpu", "cuda")
POSITIONALS = ("bids_dir", "output_dir", "levels")


class _Parser(argparse.ArgumentParser):
    """Raises `UsageError` where argparse would exit with its own status."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see {self.prog} --help")


def parse(words: Sequence[str]) -> Settings:
    """Read a command line.

    Options win over ``--config-file``, which wins over the defaults of `Settings`.

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
    """
    given = vars(build_parser().parse_args(words))
    config = given.pop("config_file", None)
    values = read_toml(config) if config else {}
    positional = {name: given.pop(name) for name in POSITIONALS}
    values.update({name: value for name, value in positional.items() if value})
    for name in ("participant_label", "session_label"):
        if name in given:
            given[name] = tuple(dict.fromkeys(chain.from_iterable(given[name])))
    values.update(given)
    missing = [name for name in POSITIONALS if name not in values]
    if missing:
        raise UsageError(f"missing: {', '.join(missing)}", "synthprep bids_dir output_dir {participant,group}")
    values["levels"] = _levels(values["levels"])
    settings = Settings(**values)
    _check(settings)
    return settings


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; what is not given is absent from its result, so that defaults live in `Settings`."""
    parser = _Parser(
        prog="synthprep",
        description="Give a BIDS dataset the MRI contrast that some of its visits lack.",
        epilog="Example: synthprep /data /out participant group --source T1w --target FLAIR",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "bids_dir", nargs="?", type=Path, default=None, help="the raw BIDS dataset, never written to"
    )
    parser.add_argument("output_dir", nargs="?", type=Path, default=None, help="where the derivatives are written")
    parser.add_argument("levels", nargs="*", metavar="{participant,group}", default=None, help="one level or both")
    parser.add_argument("--version", action="version", version=f"synthprep {__version__}")
    _add_selection(parser.add_argument_group("which images"))
    _add_synthesis(parser.add_argument_group("what to predict, and how"))
    _add_resources(parser.add_argument_group("resources"))
    _add_run(parser.add_argument_group("the run"))
    return parser


def _add_selection(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        action="extend",
        type=_labels("sub-"),
        metavar="LABEL",
        help="only these participants: labels, with or without sub-, or a text file of them",
    )
    group.add_argument(
        "--session-label",
        "--session-id",
        nargs="+",
        action="extend",
        type=_labels("ses-"),
        metavar="LABEL",
        help="only these sessions",
    )
    group.add_argument("--bids-filter-file", type=Path, metavar="JSON", help="contrast → pybids entities")
    group.add_argument(
        "--skip-bids-validation", action="store_true", help="go on without dataset_description.json"
    )


def _add_synthesis(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--source", type=_contrasts, metavar="T1w[,T2w]", help="contrasts to predict from (T1w)")
    group.add_argument("--target", metavar="FLAIR", help="contrast to predict (FLAIR)")
    group.add_argument("--network", choices=NETWORKS, help="what to train (unet)")
    group.add_argument(
        "--no-baseline", dest="baseline", action="store_false", help="do not train the article's network beside it"
    )
    group.add_argument(
        "--crossval", action="store_true", help="leave one participant out; minutes count per fold and network"
    )
    group.add_argument("--model", type=Path, metavar="BUNDLE", help="apply a trained bundle, train nothing")
    group.add_argument("--max-minutes", type=_positive(float), metavar="N", help="time of the group level (60)")
    group.add_argument("--max-steps", type=_positive(int), metavar="N", help="steps of each training; repeatable")


def _add_resources(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--nprocs", "--n-cpus", type=_positive(int), metavar="N", help="processes at a time")
    group.add_argument("--omp-nthreads", type=_positive(int), metavar="N", help="threads of one process")
    group.add_argument("--mem", dest="mem_gb", type=_memory, metavar="16G", help="memory; a bare number is MB")
    group.add_argument("--device", choices=DEVICES, help="where networks run (auto)")


def _add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-w", "--work-dir", type=Path, metavar="DIR", help="intermediate files (OUTPUT_DIR/work)")
    group.add_argument("--config-file", type=Path, metavar="TOML", help="settings of an earlier run")
    group.add_argument("--seed", "--random-seed", type=int, metavar="N", help="seed of every random number (0)")
    group.add_argument("--sloppy", action="store_true", help="coarse and quick, for tests only")
    group.add_argument("--stop-on-first-crash", action="store_true", help="stop at the first failure")
    group.add_argument("--debug", action="store_true", help="show where an error came from")
    group.add_argument("--notrack", action=_Nothing, nargs=0, help="accepted; nothing ever leaves the machine")
    group.add_argument("-v", "--verbose", dest="verbosity", action="count", help="say more; twice: say everything")


class _Nothing(argparse.Action):
    def __call__(self, *_: Any, **__: Any) -> None:
        """Accept the option and do nothing."""


class _labels:  # noqa: N801 - used as a function; argparse shows its repr in errors
    """Strip a prefix from a label, or read labels from a file with one on each line."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, word: str) -> tuple[str, ...]:
        words = [word]
        if "/" in word or word.endswith(".txt"):
            try:
                words = Path(word).read_text(encoding="utf-8").split()
            except OSError as error:
                raise argparse.ArgumentTypeError(f"{word}: {error.strerror}") from error
        labels = tuple(w.removeprefix(self.prefix) for w in words)
        bad = [label for label in labels if not re.fullmatch(r"[A-Za-z0-9+]+", label)]
        if bad or not labels:
            raise argparse.ArgumentTypeError(f"{bad[0] if bad else word!r} is no BIDS label")
        return labels


def _contrasts(word: str) -> tuple[str, ...]:
    contrasts = tuple(part for part in word.split(",") if part)
    if not contrasts or len(set(contrasts)) < len(contrasts):
        raise argparse.ArgumentTypeError(f"{word!r}: give contrasts once each, as in T1w,T2w")
    return contrasts


def _memory(word: str) -> float:
    """Return GB: ``16G``, ``1.5GiB``, ``16000`` (MB)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", word)
    if not match or match[2].upper() not in MEMORY_UNITS or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{word!r} is no amount of memory; write 16G, 1.5GiB or 16000 (MB)")
    return float(match[1]) * MEMORY_UNITS[match[2].upper()]


def _positive(kind: type) -> Any:
    def read(word: str) -> Any:
        try:
            value = kind(word)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{word!r} is no number") from error
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{word} is not positive")
        return value

    return read


def _levels(words: Sequence[str]) -> tuple[str, ...]:
    unknown = [word for word in words if word not in LEVELS]
    if unknown:
        raise UnknownLevelError(f"unknown level {unknown[0]}", f"there is {' and '.join(LEVELS)}")
    return tuple(level for level in LEVELS if level in words)


def _check(settings: Settings) -> None:
    """Raise `UsageError` for options that contradict each other."""
    if settings.target in settings.source:
        raise UsageError(f"{settings.target} is both source and target", "predict a contrast from others")
    if settings.model is not None and settings.crossval:
        raise UsageError("--model trains nothing, --crossval asks for training", "give one of them")
    if settings.output_dir.resolve() == settings.bids_dir.resolve():
        raise UsageError(
            f"{settings.output_dir}: output and raw dataset are one folder", "give another output_dir"
        )
