"""The command ``synthprep``: parse, run the levels, say what happened, return one exit status."""

from __future__ import annotations

import datetime
import logging
import os
import secrets
import signal
import sys
import traceback
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from bidsapp.cli.logs import logging_to
from bidsapp.cli.parser import settings_from
from bidsapp.errors import AppError, CannotCreateError, ExitCode
from bidsapp.launch import follows
from bidsapp.status import RunStatus, VisitStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bidsapp.settings import Settings

log = logging.getLogger(__name__)

# Nipype, niworkflows and TemplateFlow ask their servers for news unless told not to.
OFFLINE = {"NO_ET": "1", "NIPYPE_NO_ET": "1", "TEMPLATEFLOW_AUTOUPDATE": "off"}
AGAIN = "run the same command again to go on where it stopped"


class _InterruptedError(AppError):
    exit_code = ExitCode.INTERRUPTED


class _TerminatedError(AppError):
    exit_code = ExitCode.TERMINATED


class _InputOutputError(AppError):
    exit_code = ExitCode.IO


class _UnexpectedError(AppError):
    pass


class _Terminate(BaseException):
    """SIGTERM has come; as `KeyboardInterrupt` does, it passes by every ``except Exception``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str or None
        The command line without the program's name; by default that of the process.

    Returns
    -------
    int
        An `ExitCode`.
    """
    try:
        settings = settings_from(sys.argv[1:] if argv is None else argv)
    except AppError as error:
        return _finish(RunStatus(error=error), None)
    os.environ.update(OFFLINE)
    if follows(settings.processes):
        return _follow(settings)
    visits: list[VisitStatus] = []
    log_dir: Path | None = None
    with ExitStack() as stack:
        try:
            stack.enter_context(_terminable())
            log_dir = None if settings.dry_run or settings.boilerplate_only else _open_run(settings)
            stack.enter_context(logging_to(log_dir and log_dir / "synthprep.log", settings.verbosity))
            _run_levels(settings, log_dir, visits)
            error = None
        except (Exception, KeyboardInterrupt, _Terminate) as raised:  # noqa: BLE001 - a bug ends in one line, too
            error = _as_app_error(raised, settings, log_dir)
        return _finish(RunStatus(tuple(visits), error), log_dir)


def _follow(settings: Settings) -> int:
    """Take part in the trainings of a run that another process leads and tells of; only an error is said here."""
    from bidsapp.resources import granted

    try:
        with logging_to(None, verbosity=0):
            # Not before: Lightning talks to the console where it finds no logging set up.
            from bidsapp import group

            group.follow(settings, granted(settings.nprocs, settings.mem_gb))
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except Exception as raised:  # noqa: BLE001 - as in `main`
        error = _as_app_error(raised, settings, None)
        sys.stderr.write(f"synthprep: a process that follows ended: {error}\n")
        return int(error.exit_code)
    return int(ExitCode.OK)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does, so that files are closed and the last line is written."""
    main_process = os.getpid()

    def terminate(*_: Any) -> None:
        if os.getpid() != main_process:  # a forked worker has nothing to say
            os._exit(ExitCode.TERMINATED)
        raise _Terminate

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _open_run(settings: Settings) -> Path:
    """Create the output folder, the work folder and the folder of this run's logs."""
    from bidsapp.bids.dataset import open_derivatives
    from bidsapp.bids.select import check_dataset
    from bidsapp.bids.sink import write_text

    if "participant" in settings.levels:
        check_dataset(settings)  # before anything is created
    out = open_derivatives(settings)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    log_dir = out / "logs" / f"{now}-{secrets.token_hex(3)}"
    try:
        settings.work.mkdir(parents=True, exist_ok=True)
        log_dir.mkdir(parents=True)
        write_text(settings.to_toml(), log_dir / "config.toml")
    except OSError as error:
        hint = "give folders that can be written; --work-dir names the one of intermediate files"
        raise CannotCreateError(f"{error.filename or out}: {error.strerror}", hint) from error
    return log_dir


def _run_levels(settings: Settings, log_dir: Path | None, visits: list[VisitStatus]) -> None:
    """Run the levels in order; what is known of the visits is in `visits` even where a level raises."""
    from bidsapp.resources import granted

    if settings.boilerplate_only:
        from bidsapp import boilerplate

        visits += boilerplate.run(settings)
        return
    grant = granted(settings.nprocs, settings.mem_gb)
    log.info("granted: %s", ", ".join(grant.reasons))
    if "participant" in settings.levels:
        from bidsapp.bids.select import select

        selection = select(settings)
        for skip in selection.skipped:
            log.warning("%s skipped: %s%s", skip.visit, skip.reason, f" ({skip.hint})" if skip.hint else "")
        visits += [VisitStatus(skip.visit, "skipped", skip.reason, skip.hint) for skip in selection.skipped]
        if log_dir is None:
            visits += _show(selection)
            if "group" in settings.levels:
                log.warning("what the group level would do depends on this level's results: ask for it alone then")
            return
        from bidsapp import participant

        processed = participant.run(settings, selection, grant, log_dir)
        visits += processed
        if processed and all(visit.state == "failed" for visit in processed):
            return  # the group level could only add that it has nothing to work on
    if "group" in settings.levels:
        from bidsapp import group

        visits += group.run(settings, grant)


def _show(selection: Any) -> list[VisitStatus]:
    """Print what would be processed."""
    for visit in selection.visits:
        for scan in visit.scans:
            sys.stdout.write(f"{visit.label} {scan.contrast} {scan.path}\n")
    return [VisitStatus(visit.label, "selected") for visit in selection.visits]


def _as_app_error(raised: BaseException, settings: Settings, log_dir: Path | None) -> AppError:
    """Turn whatever ended the run into a message, a hint and an exit status."""
    if isinstance(raised, KeyboardInterrupt):
        return _InterruptedError("interrupted", AGAIN)
    if isinstance(raised, _Terminate):
        return _TerminatedError("terminated", AGAIN)
    if settings.debug:
        traceback.print_exception(raised)
    if isinstance(raised, AppError):
        return raised
    logging.getLogger().error("unexpected error", exc_info=raised)  # the root: to the file, not to the console
    where = f"see {log_dir / 'synthprep.log'}" if log_dir else "run again with --debug"
    if isinstance(raised, OSError):
        return _InputOutputError(f"{raised.filename or 'input or output'}: {raised.strerror or raised}", where)
    return _UnexpectedError(f"unexpected {type(raised).__name__}: {raised}", f"{where}, and report it")


def _finish(status: RunStatus, log_dir: Path | None) -> int:
    """Write ``status.json`` and the last line, and return the exit status; all three from one object."""
    if log_dir is not None:
        from bidsapp.bids.sink import write_text

        try:
            write_text(status.to_json(), log_dir / "status.json")
        except OSError as error:
            message = f"{log_dir / 'status.json'}: {error.strerror}"
            status = RunStatus(status.visits, status.error or _InputOutputError(message, "make room"))
    for visit in status.final.values():
        if visit.state == "failed":
            hint = f" ({visit.hint})" if visit.hint else ""
            sys.stderr.write(f"{visit.visit} failed: {visit.reason}{hint}\n")
    sys.stderr.write(f"{status.last_line}\n")
    logging.getLogger().info(status.last_line)
    return int(status.exit_code)
