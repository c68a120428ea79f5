"""Options that tell about a run instead of doing it: pages anew, the graph, a machine-readable description."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp import __version__
from bidsapp.errors import ExitCode, UsageError
from bidsapp.settings import LEVELS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA_VERSION = "0.5"
# Each of them takes the place of a run, and none can be had with another.
DOES = {
    "dry_run": "writes nothing",
    "reports_only": "writes pages and nothing else",
    "boilerplate_only": "writes a text and nothing else",
    "write_graph": "writes the graph of a run that processes",
}
MEANINGS = {
    ExitCode.OK: "done; a visit that lacks what is needed is skipped",
    ExitCode.VISIT_FAILED: "a visit failed, or something unexpected happened",
    ExitCode.INVALID_BIDS: "not a BIDS dataset",
    ExitCode.UNKNOWN_LEVEL: "unknown analysis level",
    ExitCode.NOTHING_SELECTED: "labels and filters select nothing",
    ExitCode.USAGE: "the command line contradicts itself, or asks for what does not exist",
    ExitCode.BAD_DATA: "the data of every visit are bad",
    ExitCode.NO_INPUT: "no input that can be used",
    ExitCode.CANNOT_CREATE: "output cannot be created",
    ExitCode.IO: "input or output error",
    ExitCode.TEMPORARY: "not finished; try again",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.TERMINATED: "terminated",
}


def add_reporting(group: argparse._ArgumentGroup) -> None:
    """Add the options that tell about a run."""
    group.add_argument(
        "--reports-only",
        action="store_true",
        help="write the pages anew from what earlier runs left on disk; process and train nothing",
    )
    group.add_argument(
        "--write-graph",
        action="store_true",
        help="write the graph of a visit's steps to logs/<run>/, as DOT and, where graphviz is installed, SVG",
    )
    group.add_argument(
        "--bids-exec-spec",
        action=_ExecSpec,
        nargs=0,
        help="print a Boutiques descriptor of this command line and exit",
    )


def check_reporting(settings: Settings) -> None:
    """Raise `UsageError` where these options contradict others."""
    for one, other in itertools.combinations((name for name in DOES if getattr(settings, name)), 2):
        flags = (f"--{name.replace('_', '-')}" for name in (one, other))
        first, second = (f"{flag} {DOES[name]}" for flag, name in zip(flags, (one, other), strict=True))
        raise UsageError(f"{first}, {second}", "give one of them")


class _ExecSpec(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        """Print the descriptor of the parser that met the option, and exit."""
        sys.stdout.write(json.dumps(descriptor(parser), indent=2, ensure_ascii=False) + "\n")
        parser.exit()


def descriptor(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return the Boutiques descriptor of a command line.

    Parameters
    ----------
    parser : ArgumentParser
        Its positional arguments come first: an option that takes several words would take them, too.

    Returns
    -------
    dict
        Ready for JSON.
    """
    inputs = list(_inputs(parser))
    keys = " ".join(entry["value-key"] for entry in inputs)
    return {
        "name": parser.prog,
        "description": parser.description,
        "tool-version": __version__,
        "schema-version": SCHEMA_VERSION,
        "command-line": f"{parser.prog} {keys}",
        "inputs": inputs,
        "output-files": [
            {
                "id": "output",
                "name": "output",
                "description": "A BIDS derivative dataset",
                "path-template": "[OUTPUT_DIR]",
            }
        ],
        "error-codes": [{"code": int(code), "description": text} for code, text in MEANINGS.items() if code],
        "tags": {"domain": ["neuroinformatics", "mri"]},
    }


def _inputs(parser: argparse.ArgumentParser) -> Iterator[dict[str, Any]]:
    """Yield an input for each argument, those without a flag first, as the parser has them."""
    actions = [a for a in parser._actions if not isinstance(a, argparse._HelpAction | argparse._VersionAction)]
    for action in sorted(actions, key=lambda action: bool(action.option_strings)):
        if isinstance(action, _ExecSpec):
            continue
        positional = not action.option_strings
        name = action.dest if positional else max(action.option_strings, key=len).lstrip("-").replace("-", "_")
        entry: dict[str, Any] = {
            "id": action.dest,
            "name": name,
            "description": action.help or name,
            "value-key": f"[{action.dest.upper()}]",
            "optional": not positional,
        }
        if not positional:
            entry["command-line-flag"] = max(action.option_strings, key=len)
        yield entry | _type_of(action)


def _type_of(action: argparse.Action) -> dict[str, Any]:
    """Return what Boutiques is to know of an argument's values."""
    if action.dest == "levels":  # while it parses, argparse hides what positionals take
        return {"type": "String", "value-choices": list(LEVELS), "list": True, "min-list-entries": 1}
    if action.nargs == 0:
        return {"type": "Flag"}
    entry: dict[str, Any] = {"type": "String"}
    if action.type is Path and action.dest != "output_dir":  # which may not be there yet
        entry = {"type": "File"}
    elif action.type in {int, float}:
        entry = {"type": "Number", "integer": action.type is int}
    if action.choices:
        entry["value-choices"] = list(action.choices)
    if action.nargs in {"+", "*"}:
        entry["list"] = True
    return entry
