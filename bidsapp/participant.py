"""The participant level: build one graph → run it → write each visit's table and report."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from bidsapp.bids import names
from bidsapp.bids.fence import check_fence, folders_of
from bidsapp.bids.participants import update_participants
from bidsapp.bids.scans import verdicts, write_scans
from bidsapp.errors import ExitCode
from bidsapp.interfaces.record import is_complete
from bidsapp.pages import failures_left, scan_record, visit_report
from bidsapp.reports.boilerplate import record_visit, record_visits, recorded
from bidsapp.reports.synthesized import Synthesized, carry_over, write_visit_synthesized
from bidsapp.reports.visit import write_visit_report
from bidsapp.status import VisitStatus
from bidsapp.workflows.drawing import draw_graph
from bidsapp.workflows.execution import Outcome, execute
from bidsapp.workflows.nodes import RUN, node_folder, place_of, sink_node, spaces_node, visit_name
from bidsapp.workflows.plugins import read_plugin
from bidsapp.workflows.prose import sentences_of
from bidsapp.workflows.visit import init_run_wf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bidsapp.records import Selection, Visit
    from bidsapp.reports.boilerplate import Sentence
    from bidsapp.resources import Grant
    from bidsapp.settings import Settings
    from bidsapp.workflows.execution import Failure
    from bidsapp.workflows.plugins import Plugin

log = logging.getLogger(__name__)

# Visits in one graph: at least so many, and of a batch system, where many steps run at a time.
LEAST = 32
QUEUED = 200


def run(
    settings: Settings,
    selection: Selection,
    grant: Grant,
    log_dir: Path,
    tell: Callable[[VisitStatus], None] = lambda _: None,
) -> tuple[VisitStatus, ...]:
    """Preprocess visits.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    selection : Selection
        Its visits are worked on.
    grant : Grant
        How many nodes run at a time.
    log_dir : Path
        Crash files go here.
    tell : callable
        Is given the status of each visit once it is known, while the others go on.

    Returns
    -------
    tuple of VisitStatus
        One for each visit. A visit with a scan that failed is failed, and keeps the outputs of the others.
    """
    if not selection.visits:
        return ()
    check_fence(settings.output_dir, (folder for visit in selection.visits for folder in folders_of(visit)))
    if settings.write_graph:
        draw_graph(settings, selection.visits, log_dir)
    plugin, stop = read_plugin(settings.use_plugin), settings.stop_on_first_crash
    visits = {visit_name(visit): visit for visit in selection.visits}
    statuses: dict[str, VisitStatus] = {}

    def record(name: str, outcome: Outcome) -> None:
        told = _told(settings, visits[name], outcome)
        statuses[name] = _record(settings, visits[name], outcome, told)
        if told:
            record_visit(settings.output_dir, visits[name].label, told)
        _tidy(settings, visits[name], statuses[name])
        tell(statuses[name])

    for portion in _portions(selection.visits, grant, plugin):
        outcome = Outcome()  # where another visit's failure has stopped the run, none of these has its turn
        if not (stop and any(status.state == "failed" for status in statuses.values())):
            title = f"participant, {len(statuses)} of {len(visits)} visits done" if statuses else ""
            workflow = init_run_wf(settings, portion, grant.memory_gb)
            outcome = execute(
                workflow, grant, log_dir, stop_on_first_crash=stop, plugin=plugin, title=title, on_visit=record
            )
        for name in map(visit_name, portion):
            if name not in statuses:  # its turn was not over when the run stopped
                record(name, outcome)
        update_participants(settings.output_dir, settings.bids_dir, settings.stratify)
        record_visits(settings.output_dir, {})  # each has written down its own
    return tuple(statuses[name] for name in visits)


def _portions(visits: Sequence[Visit], grant: Grant, plugin: Plugin) -> Iterator[Sequence[Visit]]:
    """Yield the visits, so many at a time that every worker has several, and memory does not grow with all.

    A graph holds 0.4 MB for each visit, and Nipype looks for the next step among all of its steps.
    """
    size = max(LEAST, 4 * grant.cpus) if plugin.is_local else QUEUED
    for start in range(0, len(visits), size):
        yield visits[start : start + size]


def rewrite_reports(
    settings: Settings, selection: Selection, tell: Callable[[VisitStatus], None]
) -> tuple[VisitStatus, ...]:
    """Write the pages of visits anew from what earlier runs left in the work folder and in the derivatives.

    Parameters
    ----------
    settings : Settings
        As those of the earlier runs.
    selection : Selection
        Visits.
    tell : callable
        Is given the status of each visit.

    Returns
    -------
    tuple of VisitStatus
        A visit without anything to tell of is skipped.
    """
    statuses = []
    told, _ = recorded(settings.output_dir)
    for visit in selection.visits:
        nodes = _ends(settings, visit)
        there = {node for node in nodes if is_complete(node_folder(settings, node), settings.output_dir)}
        outcome = Outcome(finished=there)
        scans = [scan for scan in visit.scans if sink_node(visit, scan) in there]
        status = VisitStatus(visit.label, "done", level="participant")
        if scans:
            done = [(scan, scan_record(settings, visit, scan, outcome)) for scan in scans]
            failures = failures_left(settings, [node for node in nodes if node not in there])
            page = settings.output_dir / names.report(visit)
            before = page.read_text(encoding="utf-8") if page.is_file() else ""
            report = visit_report(settings, visit, done, failures, told.get(visit.label, ()), fresh=False)
            write_visit_report(report, page)
            for image, target, label, reasons in verdicts(settings.output_dir, visit):
                write_visit_synthesized(page, Synthesized(image, target, label=label, reasons=reasons))
            carry_over(before, page)  # which says more, where the page was whole
        else:
            reason = (
                f"nothing to tell of: {settings.work} has no record of its scans as they are in the derivatives"
            )
            status = replace(status, state="skipped", reason=reason, hint="run it without --reports-only")
        tell(status)
        statuses.append(status)
    return tuple(statuses)


def _ends(settings: Settings, visit: Visit) -> list[str]:
    """Return the nodes that write a visit's images."""
    carried = [spaces_node(visit, scan) for scan in visit.scans] if settings.spaces else []
    return [*(sink_node(visit, scan) for scan in visit.scans), *carried]


def _told(settings: Settings, visit: Visit, outcome: Outcome) -> list[Sentence]:
    """Return what the methods text says of a visit: nothing of scans or spaces that were not finished."""
    finished = {scan.contrast for scan in visit.scans if sink_node(visit, scan) in outcome.finished}
    spaces = any(spaces_node(visit, scan) in outcome.finished for scan in visit.scans)
    return [
        sentence
        for sentence in (sentences_of(settings, visit) if finished else ())
        if (sentence.contrast in finished if sentence.contrast else spaces or sentence.step != "spaces")
    ]


def _record(settings: Settings, visit: Visit, outcome: Outcome, told: Sequence[Sentence]) -> VisitStatus:
    """Write a visit's table and report from what its scans left, and say how it went."""
    nodes = f"{RUN}.{visit_name(visit)}."
    failures = [failure for failure in outcome.failures if failure.node.startswith(nodes)]
    seconds = sum(spent for node, spent in outcome.seconds.items() if node.startswith(nodes))
    # Only what was finished or found finished in this run: a record may also be left from an earlier one.
    finished = [scan for scan in visit.scans if sink_node(visit, scan) in outcome.finished]
    done = [(scan, scan_record(settings, visit, scan, outcome)) for scan in finished]
    if done or failures:  # else the visit never had its turn, and what is known of it still holds
        rows = [record["row"] for _, record in done]
        wanted = settings.wanted
        write_scans(settings.output_dir, visit, rows, wanted=wanted, reference=settings.reference)
        report = visit_report(settings, visit, done, failures, told)
        write_visit_report(report, settings.output_dir / names.report(visit))
    status = _status(visit, failures, seconds, complete=outcome.finished.issuperset(_ends(settings, visit)))
    peaks = [peak for node, peak in outcome.peak_gb.items() if node.startswith(nodes)]
    log.info("%s %s, %.0f s of work", visit.label, status.state, seconds)
    return replace(status, level="participant", peak_gb=max(peaks, default=0.0))


def _tidy(settings: Settings, visit: Visit, status: VisitStatus) -> None:
    """Remove a visit's intermediate files, unless they are to be kept."""
    if settings.keep_work == "never" or (settings.keep_work == "on-error" and status.state == "done"):
        shutil.rmtree(node_folder(settings, f"{RUN}.{visit_name(visit)}"), ignore_errors=True)


def _status(visit: Visit, failures: Sequence[Failure], seconds: float, *, complete: bool) -> VisitStatus:
    if failures:
        codes = {failure.exit_code for failure in failures}
        return VisitStatus(
            visit.label,
            "failed",
            "; ".join(_said(visit, failure) for failure in failures),
            "; ".join(dict.fromkeys(failure.hint for failure in failures)),
            seconds,
            codes.pop() if len(codes) == 1 else ExitCode.VISIT_FAILED,
            node="; ".join(failure.node.split(".", 2)[-1] for failure in failures),
            crash_file="; ".join(failure.crash_file for failure in failures if failure.crash_file),
        )
    if complete:
        return VisitStatus(visit.label, "done", seconds=seconds)
    reason = "not finished: the run stopped at the first failure of another visit"
    return VisitStatus(visit.label, "failed", reason, "run the same command again", seconds)


def _said(visit: Visit, failure: Failure) -> str:
    """Return which step failed, on which file, and why."""
    contrast, step = place_of(failure.node)
    path = visit.scan(contrast).path if contrast in visit.contrasts else None
    file = "" if path is None or str(path) in failure.message else f"{path}: "
    return f"{contrast} {step}: {file}{failure.message}".strip()
