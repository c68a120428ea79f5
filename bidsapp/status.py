"""What happened to each visit; exit status, last line and status.json are made from one object."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass

from bidsapp.errors import AppError, ExitCode

STATES = ("done", "selected", "failed", "skipped")


@dataclass(frozen=True)
class VisitStatus:
    """What one level did with one visit.

    Attributes
    ----------
    visit : str
        Label.
    state : str
        ``done``, ``failed`` or ``skipped``; ``selected`` in a dry run.
    reason, hint : str
        Why, and what to do next; empty when done.
    seconds : float
        Time spent on it.
    exit_code : ExitCode
        What its failure means for the run.
    """

    visit: str
    state: str
    reason: str = ""
    hint: str = ""
    seconds: float = 0.0
    exit_code: ExitCode = ExitCode.VISIT_FAILED


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
    """

    visits: tuple[VisitStatus, ...] = ()
    error: AppError | None = None
    may_be_empty: bool = False

    @property
    def final(self) -> dict[str, VisitStatus]:
        """The verdict on each visit: that of the last level, unless an earlier one failed."""
        verdict: dict[str, VisitStatus] = {}
        for status in self.visits:
            if status.visit not in verdict or verdict[status.visit].state != "failed":
                verdict[status.visit] = status
        return verdict

    @property
    def exit_code(self) -> ExitCode:
        """The exit status of the run; a skipped visit is no failure."""
        if self.error is not None:
            return self.error.exit_code
        verdict = self.final.values()
        tried = [status for status in verdict if status.state != "skipped"]
        failed = [status for status in tried if status.state == "failed"]
        if failed and failed == tried and all(status.exit_code == ExitCode.BAD_DATA for status in failed):
            return ExitCode.BAD_DATA
        if failed:
            return ExitCode.VISIT_FAILED
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
        return f"synthprep: {said} [exit {int(self.exit_code)}]"

    def to_json(self) -> str:
        """Return everything as JSON."""
        content = {
            "exit_code": int(self.exit_code),
            "last_line": self.last_line,
            "error": None if self.error is None else {"message": self.error.message, "hint": self.error.hint},
            "visits": [{**asdict(status), "exit_code": int(status.exit_code)} for status in self.visits],
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
