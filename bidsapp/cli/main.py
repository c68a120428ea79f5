"""The command ``synthprep``: parse, run the levels, say what happened, return one exit status."""

from __future__ import annotations

import datetime
import logging
import os
import secrets
import signal
import sys
import traceback
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp.cli.endings import REFUSED
from bidsapp.cli.journal import Journal
from bidsapp.cli.logs import logging_to
from bidsapp.cli.parser import settings_from
from bidsapp.cli.signals import Terminate, error_of, interruptible
from bidsapp.errors import NO_ROOM, AppError, CannotCreateError, ExitCode, InputOutputError
from bidsapp.home import at_home
from bidsapp.launch import follows
from bidsapp.status import RunStatus, VisitStatus, pending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.records import Skip
    from bidsapp.settings import Settings

log = logging.getLogger(__name__)

# Nipype, niworkflows and TemplateFlow ask their servers for news unless told not to.
OFFLINE = {"NO_ET": "1", "NIPYPE_NO_ET": "1", "TEMPLATEFLOW_AUTOUPDATE": "off"}
# What Python's tracker of semaphores says, when a run was told to end, would come after our last line.
QUIET = "ignore::UserWarning:multiprocessing.resource_tracker"


class _UnexpectedError(AppError):
    pass


@at_home()
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
        return _finish(RunStatus(error=error))
    except OSError as error:  # a folder that may not be looked into
        return _finish(RunStatus(error=InputOutputError.of(error, REFUSED)))
    os.environ.update(OFFLINE)
    warned = os.environ.get("PYTHONWARNINGS", "")
    if QUIET not in warned:
        os.environ["PYTHONWARNINGS"] = f"{warned},{QUIET}".strip(",")
    if follows(settings.processes):
        return _follow(settings)
    journal = Journal(may_be_empty=settings.shard is not None)
    log_dir: Path | None = None

    def give_up(error: AppError) -> None:
        os._exit(_finish(journal.end(error)))

    with ExitStack() as stack:
        try:
            stack.enter_context(interruptible(give_up))
            log_dir = journal.folder = (
                None if settings.dry_run or settings.boilerplate_only else _open_run(settings)
            )
            stack.enter_context(logging_to(log_dir and log_dir / "synthprep.log", settings.verbosity))
            journal.add()  # from the start on there is a status to read
            _run_levels(settings, log_dir, journal)
            error = None
        except (Exception, KeyboardInterrupt, Terminate) as raised:  # noqa: BLE001 - a bug ends in one line, too
            error = _as_app_error(raised, settings, log_dir)
            _sweep(settings, log_dir)
        code = _finish(journal.end(error), debug=settings.debug)
    if argv is None and code in {ExitCode.INTERRUPTED, ExitCode.TERMINATED}:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # Python would wait for threads of libraries, and they for what does not come any more
    return code


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


def _open_run(settings: Settings) -> Path:
    """Create the output folder, the work folder and the folder of this run's logs."""
    from bidsapp.bids.dataset import open_derivatives
    from bidsapp.bids.fence import SHARED, check_fence
    from bidsapp.bids.select import check_dataset
    from bidsapp.bids.sink import write_text

    if "participant" in settings.levels:
        check_dataset(settings)  # before anything is created
    out = open_derivatives(settings)
    check_fence(out, SHARED)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    log_dir = out / "logs" / f"{now}-{secrets.token_hex(4)}"  # a thousand jobs start in one second
    try:
        settings.work.mkdir(parents=True, exist_ok=True)
        log_dir.mkdir(parents=True)
        write_text(settings.to_toml(), log_dir / "config.toml")
    except OSError as error:
        hint = "give folders that can be written; --work-dir names the one of intermediate files"
        raise CannotCreateError(f"{error.filename or out}: {error.strerror}", hint) from error
    _sweep(settings, log_dir)
    return log_dir


def _sweep(settings: Settings, log_dir: Path | None) -> None:
    """Remove what killed runs, or the workers of this one, left half written; not in a dry run."""
    from bidsapp.bids.leftovers import sweep

    if log_dir is not None:
        sweep(settings.output_dir, settings.participant_label)


def _run_levels(settings: Settings, log_dir: Path | None, journal: Journal) -> None:
    """Run the levels in order; what is known of the visits is in `journal` even where a level raises."""
    from bidsapp.resources import granted

    if settings.boilerplate_only:
        from bidsapp import boilerplate

        journal.add(*boilerplate.run(settings))
        return
    grant = granted(settings.nprocs, settings.mem_gb)
    log.info("granted: %s", ", ".join(grant.reasons))
    if settings.verbosity == 0:  # else the log says so on the console
        sys.stderr.write(f"granted: {', '.join(grant.reasons)}\n")
    if "participant" in settings.levels:
        from bidsapp.bids.select import select

        journal.level = "participant"
        selection = select(settings, partial(_tell_skips, journal))
        from bidsapp.bids.validate import validate

        validate(settings, selection.visits)
        if log_dir is None:
            from bidsapp.forecast import dry_run

            journal.add(*dry_run(settings, selection, grant))
            if "group" in settings.levels:
                log.warning("what the group level would do depends on this level's results: ask for it alone then")
            return
        from bidsapp import participant

        journal.add(*(pending(visit.label) for visit in selection.visits))
        if settings.reports_only:
            processed = participant.rewrite_reports(settings, selection, journal.add)
        else:
            processed = participant.run(settings, selection, grant, log_dir, journal.add)
        journal.add(*processed)
        failed = [visit for visit in processed if visit.state == "failed"]
        if failed and (settings.stop_on_first_crash or len(failed) == len(processed)):
            return  # the group level was not to start, or could only add that it has nothing to work on
    if "group" in settings.levels:
        from bidsapp import group

        journal.level = "group"
        journal.add(*group.run(settings, grant, journal.add))


def _tell_skips(journal: Journal, *skips: Skip) -> None:
    """Note who is left out; a reason that many have in common is said once."""
    alike: dict[tuple[str, str], list[str]] = {}
    for skip in skips:
        alike.setdefault((skip.reason, skip.hint), []).append(skip.visit)
    for (reason, hint), visits in alike.items():
        log.warning("%s skipped: %s%s", ", ".join(visits), reason, f" ({hint})" if hint else "")
    journal.add(*(VisitStatus(skip.visit, "skipped", skip.reason, skip.hint) for skip in skips))


def _as_app_error(raised: BaseException, settings: Settings, log_dir: Path | None) -> AppError:
    """Turn whatever ended the run into a message, a hint and an exit status."""
    if isinstance(raised, KeyboardInterrupt | Terminate):
        return error_of(signal.SIGINT if isinstance(raised, KeyboardInterrupt) else signal.SIGTERM)
    if settings.debug:
        traceback.print_exception(raised)
    if isinstance(raised, AppError):
        return raised
    logging.getLogger().error("unexpected error", exc_info=raised)  # the root: to the file, not to the console
    where = f"see {log_dir / 'synthprep.log'}" if log_dir else "run again with --debug"
    if isinstance(raised, OSError):
        if raised.errno in NO_ROOM:
            where = f"make room, and run the same command again; {where}"
        return InputOutputError.of(raised, where)
    return _UnexpectedError(f"unexpected {type(raised).__name__}: {raised}", f"{where}, and report it")


def _finish(status: RunStatus, *, debug: bool = False) -> int:
    """Write what failed and the last line, and return the exit status; ``status.json`` is of the same object."""
    for visit in status.final.values():
        if visit.state == "failed":
            sys.stderr.write(f"{visit.line}\n")
            for file in map(Path, visit.crash_file.split("; ") if debug else ()):
                if file.is_file():
                    sys.stderr.write(file.read_text(encoding="utf-8", errors="replace") + "\n")
    sys.stderr.write(f"{status.last_line}\n")
    logging.getLogger().info(status.last_line)
    return int(status.exit_code)
