"""The command ``synthprep-status``: what became of every visit of a dataset, however many runs it took."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp.cli.endings import command
from bidsapp.cli.journal import STATUS_FILE
from bidsapp.cli.words import CommandParser
from bidsapp.errors import MEMORY_HINT, ExitCode, NoInputError
from bidsapp.settings import LEVELS
from bidsapp.status import RunStatus, VisitStatus, visits_from

if TYPE_CHECKING:
    from collections.abc import Sequence

LEFT = ("failed", "pending")
# Ends of a run that the same command need not meet again.
PASSING = {int(code) for code in (ExitCode.TEMPORARY, ExitCode.INTERRUPTED, ExitCode.TERMINATED)}
MEMORY = f"exit status 137 means that memory ran out: {MEMORY_HINT}"


@dataclass(frozen=True)
class Run:
    """What one run left.

    Attributes
    ----------
    folder : Path
        Its logs.
    visits : tuple of VisitStatus
        What it says of visits.
    updated : str
        When it said so last, as ISO 8601.
    note : str
        Why it did not end well; empty where it did.
    levels : tuple of str
        Its levels.
    bids_dir : Path or None
        Its raw dataset.
    failure : str
        What ended it where the same command would end in the same way; empty where it would not.
    failure_hint : str
        What to do then.
    """

    folder: Path
    visits: tuple[VisitStatus, ...]
    updated: str
    note: str
    levels: tuple[str, ...]
    bids_dir: Path | None
    failure: str = ""
    failure_hint: str = ""


@command("synthprep-status")
def main(words: Sequence[str]) -> ExitCode | None:
    """Run the command; return an `ExitCode`: that of a run that had done all that is on disk."""
    given = build_parser().parse_args(words)
    runs = read_runs(given.output_dir)
    status = merged(runs, given.level, _participants(runs, given))
    _show(status, runs, given)
    sys.stderr.write(f"{status.last_line.replace('synthprep:', 'synthprep-status:', 1)}\n")
    return status.exit_code


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = CommandParser(
        prog="synthprep-status",
        description=__doc__,
        epilog="Example: synthprep /data /out participant --participant-label $(synthprep-status /out --labels)",
        allow_abbrev=False,
    )
    parser.add_argument("output_dir", type=Path, help="the output folder of synthprep, which has logs/")
    parser.add_argument("--level", choices=LEVELS, help="of this level only")
    parser.add_argument(
        "--bids-dir",
        type=Path,
        metavar="DIR",
        help="the raw dataset, if it lies elsewhere now: who never had a turn",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--labels", action="store_true", help="print only the labels of what is left to do, one a line"
    )
    how.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser


def read_runs(out: Path) -> list[Run]:
    """Return what the runs of an output folder left, the one that spoke last at the end.

    Raises
    ------
    NoInputError
        There is no run.
    """
    runs = [run for file in sorted(out.glob(f"logs/*/{STATUS_FILE}")) if (run := _read(file))]
    if not runs:
        raise NoInputError(f"{out}: no run has left a status in logs/", "give the output folder of synthprep")
    return sorted(runs, key=lambda run: run.updated)


def merged(runs: Sequence[Run], level: str | None = None, participants: Sequence[str] = ()) -> RunStatus:
    """Return one status of all runs: on each visit and level the latest word wins.

    Parameters
    ----------
    runs : sequence of Run
        In the order in which they spoke.
    level : str or None
        Only this one.
    participants : sequence of str
        Folders of the raw dataset, ``sub-01``; those of whom no run speaks never had their turn.
    """
    latest: dict[tuple[str, str], VisitStatus] = {}
    for run in runs:
        for status in run.visits:
            latest.pop((status.visit, status.level), None)  # so that the last word comes last
            latest[status.visit, status.level] = _as_left(status, run)
    known = {visit.partition("_")[0] for visit, _ in latest}
    never = [VisitStatus(p, "pending", "no run has come to it", level=LEVELS[0]) for p in participants]
    visits = [*latest.values(), *(status for status in never if status.visit not in known)]
    wanted = [status for status in visits if level in {None, status.level}]
    return RunStatus(tuple(sorted(wanted, key=lambda status: (LEVELS.index(status.level), status.visit))))


def _as_left(status: VisitStatus, run: Run) -> VisitStatus:
    """Return what a run left of a visit: one whose turn did not come shares the run's fate."""
    if status.state != "pending":
        return status
    if run.failure:
        return replace(status, state="failed", reason=run.failure, hint=run.failure_hint)
    return replace(status, hint=run.note) if run.note else status


def labels_left(status: RunStatus) -> list[str]:
    """Return the participants, without ``sub-``, of whom a visit failed or is still to do at some level."""
    left = [visit.visit for visit in status.visits if visit.state in LEFT]
    return sorted({visit.partition("_")[0].removeprefix("sub-") for visit in left})


def _read(file: Path) -> Run | None:
    """Return a run that processed visits; where its status cannot be read, say so and go on."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        visits = visits_from(content)
        note, error = _note(content), content.get("error") or {}
        lasting = bool(error) and content["exit_code"] not in PASSING
        failure = (str(error["message"]), str(error["hint"])) if lasting else ("", "")
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"synthprep-status: {file} is left out: {error}\n")
        return None
    settings = _settings(file.with_name("config.toml"))
    if settings.get("reports_only"):  # it processed nothing
        return None
    levels = tuple(level for level in LEVELS if level in settings.get("levels", ()))
    # Before it was written down, a level was known only where there was but one.
    old = levels[0] if len(levels) == 1 else LEVELS[-1]
    visits = [replace(visit, level=visit.level if visit.level in LEVELS else old) for visit in visits]
    updated = str(content.get("updated") or file.parent.name)
    raw = settings.get("bids_dir")
    return Run(file.parent, tuple(visits), _comparable(updated), note, levels, raw and Path(raw), *failure)


def _settings(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _comparable(moment: str) -> str:
    """Return the digits of a moment, of ISO 8601 or the name of a run's folder, which compare as it does."""
    return "".join(letter for letter in moment[:19] if letter.isdigit())[:14]


def _note(content: dict[str, Any]) -> str:
    """Return why a run has not ended, or what ended it."""
    if content.get("error"):
        again = "run the same command again" if content["exit_code"] in PASSING else content["error"]["hint"]
        return f"the run stopped: {content['error']['message']}; {again}"
    if content.get("exit_code") is not None:
        return ""
    process = content.get("process") or {}
    where = f"on {process.get('host')}, last heard of at {content.get('updated')}"
    if process.get("host") == os.uname().nodename:
        if _alive(process.get("pid", 0)):
            return f"still running {where}"
        return f"the run was killed {where}: run it again; {MEMORY}"
    return f"still running or killed {where}: if it was killed, run it again; {MEMORY}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _participants(runs: Sequence[Run], given: argparse.Namespace) -> list[str]:
    """Return the folders of the raw dataset, where it can be seen from here."""
    known = next((run.bids_dir for run in reversed(runs) if run.bids_dir and LEVELS[0] in run.levels), None)
    raw = given.bids_dir or known
    if raw is not None and raw.is_dir():
        return sorted(entry.name for entry in os.scandir(raw) if entry.name.startswith("sub-") and entry.is_dir())
    if given.bids_dir:
        raise NoInputError(f"{raw}: no such folder", "give --bids-dir the raw dataset")
    if raw is not None:
        sys.stderr.write(
            f"synthprep-status: {raw} is not here: who never had a turn is not told; see --bids-dir\n"
        )
    return []


def _show(status: RunStatus, runs: Sequence[Run], given: argparse.Namespace) -> None:
    left = labels_left(status)
    if given.labels:
        sys.stdout.write("".join(f"{label}\n" for label in left))
        return
    if given.json:
        sys.stdout.write(status.to_json(runs=[str(run.folder) for run in runs], left=left))
        return
    from bidsapp.console import print_table

    columns = ["visit", "level", "state", "node", "reason", "hint", "seconds", "peak_gb"]
    rows = [{name: getattr(visit, name) or None for name in columns} for visit in status.visits]
    title = f"{given.output_dir}: {len(runs)} run{'s' if len(runs) > 1 else ''}"
    print_table(title, columns, rows, wrap=("node", "reason", "hint"))
    for visit in status.visits:
        if visit.crash_file:
            sys.stdout.write(f"{visit.visit}: traceback in {visit.crash_file}\n")
    if runs[-1].note:
        sys.stdout.write(f"{runs[-1].folder}: {runs[-1].note}\n")
    if left:
        sys.stdout.write(f"left to do: --participant-label {' '.join(left)}\n")
