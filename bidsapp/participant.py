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
from bidsapp.reports.boilerplate import readable, record_visits
from bidsapp.reports.records import Figure, VisitReport
from bidsapp.reports.visit import write_visit_report
from bidsapp.status import VisitStatus
from bidsapp.workflows.execution import execute
from bidsapp.workflows.nodes import RUN, node_folder, sink_node, spaces_node, visit_name
from bidsapp.workflows.prose import sentences_of
from bidsapp.workflows.visit import init_run_wf, init_visit_wf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.records import Scan, Selection, Visit
    from bidsapp.reports.boilerplate import Sentence
    from bidsapp.resources import Grant
    from bidsapp.settings import Settings
    from bidsapp.workflows.execution import Failure, Outcome

log = logging.getLogger(__name__)

CAPTIONS = {
    "brain": ("Brain mask", "The outline should follow the surface of the brain, without skull, eyes or holes."),
    "registration": (
        "Alignment",
        "The reference's outlines should lie on the same edges of both images, and edges should run on from field "
        "to field of the checkerboard.",
    ),
}


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
    statuses = tuple(_record(settings, visit, outcome) for visit in selection.visits)
    update_participants(settings.output_dir, settings.bids_dir, settings.stratify)
    told = {visit.label: _told(settings, visit, outcome) for visit in selection.visits}
    record_visits(settings.output_dir, {label: sentences for label, sentences in told.items() if sentences})
    return statuses


def _told(settings: Settings, visit: Visit, outcome: Outcome) -> list[Sentence]:
    """Return what the methods text says of a visit: nothing of scans that were not finished."""
    finished = {scan.contrast for scan in visit.scans if sink_node(visit, scan) in outcome.finished}
    return [s for s in sentences_of(settings, visit) if finished and (not s.contrast or s.contrast in finished)]


def _record(settings: Settings, visit: Visit, outcome: Outcome) -> VisitStatus:
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
    if done:
        write_visit_report(_report(settings, visit, done, failures), settings.output_dir / names.report(visit))
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
    settings: Settings, visit: Visit, done: Sequence[tuple[Scan, Mapping[str, Any]]], failures: Sequence[Failure]
) -> VisitReport:
    flags = [f"{scan.contrast}: {record['row']['flags']}" for scan, record in done if record["row"].get("flags")]
    figures = []
    for scan, record in done:
        kind = "brain" if scan.contrast == settings.reference else "registration"
        title, caption = CAPTIONS[kind]
        figures.append(Figure(f"{title}: {scan.contrast}", caption, record["figure"]))
        caption = "The template's outlines should lie on the same edges of the image."
        spaces = record["in_spaces"].items()
        figures += [Figure(f"{scan.contrast} in {name}", caption, path) for name, path in spaces]
    return VisitReport(
        visit=visit.label,
        version=__version__,
        rows=[record["row"] for _, record in done],
        decisions={scan.contrast: record["decisions"] for scan, record in done},
        flags=[*(f"{failure.message} ({failure.hint})" for failure in failures), *flags],
        figures=figures,
        methods=readable(init_visit_wf(settings, visit).visit_desc()),
        outputs=[path for _, record in done for path in record["outputs"]],
        sloppy=settings.sloppy,
    )
