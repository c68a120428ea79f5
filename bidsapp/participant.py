"""The participant level: build one graph → run it → write each visit's table and report."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bidsapp import __version__
from bidsapp.bids import names
from bidsapp.bids.participants import update_participants
from bidsapp.bids.scans import write_scans
from bidsapp.errors import ExitCode
from bidsapp.interfaces.record import read_record
from bidsapp.reports.environment import command_line, versions
from bidsapp.reports.histograms import read_curves
from bidsapp.reports.records import ScanStory, Trouble, VisitReport
from bidsapp.reports.story import scan_figures
from bidsapp.reports.visit import write_visit_report
from bidsapp.status import VisitStatus
from bidsapp.workflows.execution import execute
from bidsapp.workflows.nodes import RUN, node_folder, scan_name, sink_node, spaces_node, visit_name
from bidsapp.workflows.visit import init_run_wf, init_visit_wf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.records import Scan, Selection, Visit
    from bidsapp.reports.records import Curve
    from bidsapp.resources import Grant
    from bidsapp.settings import Settings
    from bidsapp.workflows.execution import Failure, Outcome

log = logging.getLogger(__name__)


def run(settings: Settings, selection: Selection, grant: Grant, log_dir: Path) -> tuple[VisitStatus, ...]:
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

    Returns
    -------
    tuple of VisitStatus
        One for each visit. A visit with a scan that failed is failed, and keeps the outputs of the others.
    """
    if not selection.visits:
        return ()
    workflow = init_run_wf(settings, selection.visits)
    outcome = execute(workflow, grant, log_dir, stop_on_first_crash=settings.stop_on_first_crash)
    curves = read_curves(settings.output_dir)  # those of visits that other runs worked on, too
    statuses = tuple(_record(settings, visit, outcome, curves) for visit in selection.visits)
    update_participants(settings.output_dir, settings.bids_dir, settings.stratify)
    return statuses


def _record(settings: Settings, visit: Visit, outcome: Outcome, curves: Sequence[Curve]) -> VisitStatus:
    """Write a visit's table and report from what its scans left, and say how it went."""
    nodes = f"{RUN}.{visit_name(visit)}."
    failures = [failure for failure in outcome.failures if failure.node.startswith(nodes)]
    seconds = sum(spent for node, spent in outcome.seconds.items() if node.startswith(nodes))
    # Only what was finished or found finished in this run: a record may also be left from an earlier one.
    finished = [scan for scan in visit.scans if sink_node(visit, scan) in outcome.finished]
    done = [(scan, _scan_record(settings, visit, scan, outcome)) for scan in finished]
    if done or failures:  # else the visit never had its turn, and what is known of it still holds
        rows = [record["row"] for _, record in done]
        wanted = settings.wanted
        write_scans(settings.output_dir, visit, rows, wanted=wanted, reference=settings.reference)
        report = _report(settings, visit, done, failures, curves)
        write_visit_report(report, settings.output_dir / names.report(visit))
    status = _status(visit, failures, seconds, complete=len(done) == len(visit.scans))
    log.info("%s %s, %.0f s of work", visit.label, status.state, seconds)
    return status


def _status(visit: Visit, failures: Sequence[Failure], seconds: float, *, complete: bool) -> VisitStatus:
    if failures:
        codes = {failure.exit_code for failure in failures}
        return VisitStatus(
            visit.label,
            "failed",
            "; ".join(failure.message for failure in failures),
            "; ".join(dict.fromkeys(failure.hint for failure in failures)),
            seconds,
            codes.pop() if len(codes) == 1 else ExitCode.VISIT_FAILED,
        )
    if complete:
        return VisitStatus(visit.label, "done", seconds=seconds)
    reason = "not finished: the run stopped at the first failure of another visit"
    return VisitStatus(visit.label, "failed", reason, "run the same command again", seconds)


def _scan_record(settings: Settings, visit: Visit, scan: Scan, outcome: Outcome) -> dict[str, Any]:
    """Return what a scan's sink left, with what was written of it in standard spaces."""
    record, spaces = (
        read_record(node_folder(settings, node)) if node in outcome.finished else {}
        for node in (sink_node(visit, scan), spaces_node(visit, scan))
    )
    return {
        **record,
        "row": {**record["row"], **spaces.get("row", {})},
        "outputs": [*record["outputs"], *spaces.get("outputs", [])],
        "in_spaces": spaces.get("figures", {}),
    }


def _report(
    settings: Settings,
    visit: Visit,
    done: Sequence[tuple[Scan, Mapping[str, Any]]],
    failures: Sequence[Failure],
    curves: Sequence[Curve],
) -> VisitReport:
    reference = settings.reference
    flags = [f"{scan.contrast}: {record['row']['flags']}" for scan, record in done if record["row"].get("flags")]
    records = {scan.contrast: record for scan, record in done}
    return VisitReport(
        visit=visit.label,
        version=__version__,
        rows=[record["row"] for _, record in done],
        decisions={scan.contrast: record["decisions"] for scan, record in done},
        flags=[*(f"{failure.message} ({failure.hint})" for failure in failures), *flags],
        figures=[
            figure
            for scan, record in done
            for figure in scan_figures(scan.contrast, reference, record["figures"], record["in_spaces"])
        ],
        methods=init_visit_wf(settings, visit).visit_desc() if done else "",
        outputs=[path for _, record in done for path in record["outputs"]],
        sloppy=settings.sloppy,
        reference=reference,
        scans=[_story(settings, visit, scan, records.get(scan.contrast), failures) for scan in visit.scans],
        troubles=[Trouble(f.node.split(".", 2)[-1], f.message, f.hint) for f in failures],
        curves=curves,
        command=command_line(),
        versions=versions(),
    )


def _story(
    settings: Settings, visit: Visit, scan: Scan, record: Mapping[str, Any] | None, failures: Sequence[Failure]
) -> ScanStory:
    """Say what became of a scan."""
    if record is not None:
        flags = record["row"].get("flags", "")
        state, output = "flagged" if flags else "used", names.preproc(visit, scan, settings.reference)
        return ScanStory(scan.contrast, record["raw"], state, flags, record["header"], output)
    raw = scan.path
    if raw.is_relative_to(settings.bids_dir):
        raw = raw.relative_to(settings.bids_dir)
    own = f"{RUN}.{visit_name(visit)}.{scan_name(scan)}."
    said = [failure.message for failure in failures if failure.node.startswith(own)]
    if said:
        return ScanStory(scan.contrast, raw.as_posix(), "failed", "; ".join(said))
    reason = "what it needs failed" if failures else "the run stopped before"
    return ScanStory(scan.contrast, raw.as_posix(), "unfinished", reason)
