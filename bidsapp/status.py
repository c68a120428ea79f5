"""What happened to each visit; exit status, last line, status.json and status.tsv are made from one object."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import Any

from bidsapp.errors import AppError, ExitCode

STATES = ("done", "selected", "failed", "skipped", "pending")
# One row for each visit; the words of `VisitStatus`.
COLUMNS = ("visit", "level", "state", "node", "reason", "hint", "crash_file", "seconds", "peak_gb")


@dataclass(frozen=True)
class VisitStatus:
    """What one level did with one visit.

    Attributes
    ----------
    visit : str
        Label.
    state : str
        ``done``, ``failed`` or ``skipped``; ``selected`` in a dry run; ``pending`` while the run goes, and
        for ever where it was killed.
    reason, hint : str
        Why, and what to do next; empty when done.
    seconds : float
        Time spent on it.
    exit_code : ExitCode
        What its failure means for the run.
    level : str
        ``participant`` or ``group``.
    node : str
        The step that failed, ``FLAIR_wf.header``; several are parted by ``; ``.
    crash_file : str
        Where the traceback is.
    peak_gb : float
        The most memory that one of its steps held, GB; 0 where that is not known.
    """

    visit: str
    state: str
    reason: str = ""
    hint: str = ""
    seconds: float = 0.0
    exit_code: ExitCode = ExitCode.VISIT_FAILED
    level: str = ""
    node: str = ""
    crash_file: str = ""
    peak_gb: float = 0.0

    @property
    def line(self) -> str:
        """What a person reads first of a failure: which visit, why, what to do, where the traceback is."""
        more = "; ".join(part for part in (self.hint, self.crash_file and f"traceback: {self.crash_file}") if part)
        return f"{self.visit} {self.state}: {self.reason}" + (f" ({more})" if more else "")


@dataclass(frozen=True)
class RunStatus:
    """The outcome of a run.

    Attributes
    ----------
    visits : tuple of VisitStatus
        Of all levels, in the order in which they ran.
    error : AppError or None
        What ended the run before its end.
    may_be_empty : bool
        The run is one of several parts: that it has nothing to do is no failure.
    ended : bool
        Whether the run is over; where it is not, a visit may still be ``pending``.
    """

    visits: tuple[VisitStatus, ...] = ()
    error: AppError | None = None
    may_be_empty: bool = False
    ended: bool = True

    @property
    def final(self) -> dict[str, VisitStatus]:
        """The verdict on each visit: that of the last level, unless an earlier one failed or is still to do."""
        verdict: dict[str, VisitStatus] = {}
        for status in self.visits:
            if status.visit not in verdict or verdict[status.visit].state not in {"failed", "pending"}:
                verdict[status.visit] = status
        return verdict

    @property
    def exit_code(self) -> ExitCode:
        """The exit status of the run; a skipped visit is no failure, and one that is still to do no success."""
        if self.error is not None:
            return self.error.exit_code
        verdict = self.final.values()
        tried = [status for status in verdict if status.state != "skipped"]
        failed = [status for status in tried if status.state == "failed"]
        if failed and failed == tried and all(status.exit_code == ExitCode.BAD_DATA for status in failed):
            return ExitCode.BAD_DATA
        if failed:
            return ExitCode.VISIT_FAILED
        if any(status.state == "pending" for status in tried):
            return ExitCode.TEMPORARY
        if self.may_be_empty or any(s.state in {"done", "selected"} for s in self.visits):
            return ExitCode.OK
        return ExitCode.NO_INPUT

    @property
    def last_line(self) -> str:
        """The last line of the console."""
        if self.error is not None:
            return f"synthprep: stopped: {self.error} [exit {int(self.exit_code)}]"
        counts = Counter(status.state for status in self.final.values())
        said = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "no visit"
        return f"synthprep: {said} [exit {int(self.exit_code)}]" if self.ended else f"synthprep: running: {said}"

    def to_json(self, **more: Any) -> str:
        """Return everything as JSON, and `more` before the visits; a run that goes on has no exit status yet."""
        content = {
            "exit_code": int(self.exit_code) if self.ended else None,
            "last_line": self.last_line,
            "error": None if self.error is None else {"message": self.error.message, "hint": self.error.hint},
            **more,
            "visits": [{**asdict(status), "exit_code": int(status.exit_code)} for status in self.visits],
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def rows(self) -> list[dict[str, object]]:
        """Return one row of `COLUMNS` for each visit, with the verdict on it."""
        return [
            {name: _cell(getattr(status, name)) for name in COLUMNS} | {"seconds": status.seconds}
            for status in self.final.values()
        ]


def pending(visit: str) -> VisitStatus:
    """Return the status of a visit that a level is to work on: what is known of it should the run be killed."""
    return VisitStatus(visit, "pending", "not finished", "run the same command again")


def _cell(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value or None


def visits_from(content: Any) -> list[VisitStatus]:
    """Return the visits of a ``status.json``, of an earlier version, too; `ValueError` where it is none."""
    known = {field.name for field in fields(VisitStatus)}
    try:
        said = [{key: value for key, value in visit.items() if key in known} for visit in content["visits"]]
        return [
            VisitStatus(**{**visit, "exit_code": ExitCode(visit["exit_code"])}) for visit in said if visit["visit"]
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no status of a run: {error}") from error
