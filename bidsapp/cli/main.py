"""The command ``synthprep``: parse, run the levels, say what happened, return one exit status."""

from __future__ import annotations

import datetime
import logging
import secrets
import signal
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any

from bidsapp.cli.parser import parse
from bidsapp.errors import AppError, ExitCode
from bidsapp.status import RunStatus, VisitStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bidsapp.settings import Settings

log = logging.getLogger("bidsapp")

LEVELS_OF_VERBOSITY = (logging.WARNING, logging.INFO, logging.DEBUG)


class _InterruptedError(AppError):
    exit_code = ExitCode.INTERRUPTED


class _TerminatedError(AppError):
    exit_code = ExitCode.TERMINATED


class _InputOutputError(AppError):
    exit_code = ExitCode.IO


class _UnexpectedError(AppError):
    pass


def main(words: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    words : sequence of str or None
        The command line without the program's name; by default that of the process.

    Returns
    -------
    int
        An `ExitCode`.
    """
    try:
        settings = parse(sys.argv[1:] if words is None else words)
    except AppError as error:
        return _finish(RunStatus(error=error), None)
    visits: list[VisitStatus] = []
    log_dir: Path | None = None
    signal.signal(signal.SIGTERM, _terminate)
    try:
        log_dir = _open_run(settings)
        _run_levels(settings, log_dir, visits)
        status = RunStatus(tuple(visits))
    except AppError as error:
        status = RunStatus(tuple(visits), error)
    except KeyboardInterrupt:
        status = RunStatus(tuple(visits), _InterruptedError("interrupted", "run the same command again to go on"))
    except Exception as error:  # noqa: BLE001 - a bug must end in one line and a log, too
        status = RunStatus(tuple(visits), _unexpected(error, settings, log_dir))
    return _finish(status, log_dir)


def _run_levels(settings: Settings, log_dir: Path, visits: list[VisitStatus]) -> None:
    """Run the levels in order; what is known of the visits is in `visits` even where a level raises."""
    from bidsapp.resources import granted

    grant = granted(settings.nprocs, settings.mem_gb)
    log.info("granted: %s", "; ".join(grant.reasons))
    if "participant" in settings.levels:
        from bidsapp import participant
        from bidsapp.bids.select import select

        selection = select(settings)
        visits += [VisitStatus(skip.visit, "skipped", skip.reason, skip.hint) for skip in selection.skipped]
        for skip in selection.skipped:
            log.warning("%s skipped: %s (%s)", skip.visit, skip.reason, skip.hint)
        visits += participant.run(settings, selection, grant, log_dir)
    if "group" in settings.levels:
        from bidsapp import group

        visits += group.run(settings, grant)


def _open_run(settings: Settings) -> Path:
    """Create the output folder and the folder of this run's logs."""
    from bidsapp.bids.dataset import open_derivatives
    from bidsapp.bids.sink import write_text

    out = open_derivatives(settings)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    log_dir = out / "logs" / f"{now}-{secrets.token_hex(3)}"
    log_dir.mkdir(parents=True)
    write_text(settings.to_toml(), log_dir / "config.toml")
    _set_up_logging(settings, log_dir)
    return log_dir


def _set_up_logging(settings: Settings, log_dir: Path) -> None:
    """Our own messages go to the console, everything else only to the log file."""
    everything = logging.getLogger()
    everything.setLevel(logging.INFO)
    file = logging.FileHandler(log_dir / "synthprep.log", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    everything.handlers = [file]
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(LEVELS_OF_VERBOSITY[min(settings.verbosity, 2)])
    console.setFormatter(logging.Formatter("%(message)s"))
    log.handlers = [console]
    log.setLevel(logging.DEBUG if settings.verbosity > 1 else logging.INFO)
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default")


def _terminate(*_: Any) -> None:
    raise _TerminatedError("terminated", "run the same command again to go on")


def _unexpected(error: Exception, settings: Settings, log_dir: Path | None) -> AppError:
    log.debug("", exc_info=error)
    where = f"see {log_dir / 'synthprep.log'}" if log_dir else "run again with --debug"
    if log_dir is not None:
        logging.getLogger().error("unexpected error", exc_info=error)
    if settings.debug:
        traceback.print_exception(error)
    if isinstance(error, OSError):
        return _InputOutputError(f"{error.filename or 'input or output'}: {error.strerror or error}", where)
    return _UnexpectedError(f"unexpected {type(error).__name__}: {error}", f"{where}, and report it")


def _finish(status: RunStatus, log_dir: Path | None) -> int:
    if log_dir is not None:
        from bidsapp.bids.sink import write_text

        write_text(status.to_json(), log_dir / "status.json")
    for visit in status.visits:
        if visit.state == "failed":
            sys.stderr.write(f"{visit.visit} failed: {visit.reason} ({visit.hint})\n")
    sys.stderr.write(status.last_line + "\n")
    return int(status.exit_code)
