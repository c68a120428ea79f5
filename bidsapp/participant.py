"""The participant level: build one graph → run it → write each visit's table and report."""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp import __version__
from bidsapp.bids import names
from bidsapp.bids.dataset import SCANS_COLUMNS, update_participants
from bidsapp.bids.sink import write_text, write_tsv
from bidsapp.console import progress_bar
from bidsapp.errors import ExitCode
from bidsapp.imaging.itk import DETERMINISTIC_ENVIRONMENT
from bidsapp.interfaces.base import ERROR_FILE
from bidsapp.interfaces.output import read_record
from bidsapp.reports.records import Figure, VisitReport
from bidsapp.reports.visit import write_visit_report
from bidsapp.status import VisitStatus
from bidsapp.workflows.visit import init_run_wf, init_visit_wf, sink_folder, visit_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nipype.pipeline.engine import Node, Workflow

    from bidsapp.records import Scan, Selection, Visit
    from bidsapp.resources import Grant
    from bidsapp.settings import Settings

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
    with _worker_environment(settings.work / "nipype"):
        workflow = init_run_wf(settings, selection.visits)
        failures = _execute(workflow, settings, grant, log_dir)
    statuses = tuple(_record(settings, visit, failures.get(visit_name(visit), [])) for visit in selection.visits)
    update_participants(settings.output_dir)
    return statuses


def _execute(
    workflow: Workflow, settings: Settings, grant: Grant, log_dir: Path
) -> dict[str, list[dict[str, Any]]]:
    """Run the graph; return the errors of the nodes that failed, by the name of their visit's workflow."""
    _configure(workflow, settings, log_dir)
    failures: dict[str, list[dict[str, Any]]] = {}
    finished: set[str] = set()
    with progress_bar("participants", total=len(workflow.list_node_names())) as update:

        def on_node(node: Node, status: str) -> None:
            if status == "exception":
                failures.setdefault(_visit_of(node), []).append(_error(node, log_dir))
            elif status == "end":
                finished.add(node.fullname)
            update(len(finished), node.fullname.removeprefix("participant."))

        try:
            workflow.run(plugin="MultiProc", plugin_args=_plugin_args(grant, on_node))
        except RuntimeError:
            if not failures:
                raise
    return failures


def _configure(workflow: Workflow, settings: Settings, log_dir: Path) -> None:
    from nipype import config
    from nipype import logging as nipype_logging

    workflow.config["execution"] = {
        "crashdump_dir": str(log_dir.absolute()),
        "crashfile_format": "txt",
        "stop_on_first_crash": str(settings.stop_on_first_crash).lower(),
        "remove_unnecessary_outputs": "false",  # a second run finds what the first one made
        "hash_method": "timestamp",
        "poll_sleep_duration": "0.1",
    }
    config.update_config({"logging": {"workflow_level": "INFO", "interface_level": "INFO"}})
    nipype_logging.update_logging(config)
    for name in ("nipype", "nipype.workflow", "nipype.interface", "nipype.utils"):
        logger = logging.getLogger(name)  # its messages go to the log file, not to the console
        logger.handlers = []
        logger.propagate = True


def _plugin_args(grant: Grant, on_node: Any) -> dict[str, Any]:
    return {
        "n_procs": grant.cpus,
        "memory_gb": grant.memory_gb,
        "raise_insufficient": False,
        "mp_context": "forkserver",
        "status_callback": on_node,
    }


@contextmanager
def _worker_environment(nipype_folder: Path) -> Iterator[None]:
    """Set what worker processes inherit: one thread each, ANTs' seed, and a Nipype that only warns."""
    write_text("[logging]\nworkflow_level = WARNING\ninterface_level = WARNING\n", nipype_folder / "nipype.cfg")
    wanted = {
        **DETERMINISTIC_ENVIRONMENT,
        "OMP_NUM_THREADS": "1",
        "NIPYPE_NO_ET": "1",
        "NIPYPE_CONFIG_DIR": str(nipype_folder.absolute()),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _visit_of(node: Node) -> str:
    """``participant.sub_01_ses_A.T1w_wf.brain`` → ``sub_01_ses_A``."""
    return str(node.fullname.split(".")[1])


def _error(node: Node, log_dir: Path) -> dict[str, Any]:
    """Return what a failed node left to say."""
    contrast = node.fullname.split(".")[2].removesuffix("_wf")
    file = Path(node.output_dir()) / ERROR_FILE
    if file.is_file():
        return {"contrast": contrast, **json.loads(file.read_text(encoding="utf-8"))}
    return {
        "contrast": contrast,
        "message": f"{contrast}: the step '{node.name}' failed unexpectedly",
        "hint": f"see the crash file in {log_dir}",
        "exit_code": int(ExitCode.VISIT_FAILED),
    }


def _record(settings: Settings, visit: Visit, failures: Sequence[Mapping[str, Any]]) -> VisitStatus:
    """Write a visit's table and report from what its scans left, and say how it went."""
    failed = {failure["contrast"] for failure in failures}
    finished = [scan for scan in visit.scans if scan.contrast not in failed]
    records = [(scan, _scan_record(settings, visit, scan)) for scan in finished]
    done = [(scan, record) for scan, record in records if record is not None]
    if done:
        rows = [record["row"] for _, record in done]
        write_tsv(rows, settings.output_dir / names.scans_table(visit), ["filename", *SCANS_COLUMNS])
        write_visit_report(_report(settings, visit, done, failures), settings.output_dir / names.report(visit))
    if not failures:
        return VisitStatus(visit.label, "done")
    codes = {ExitCode(failure["exit_code"]) for failure in failures}
    return VisitStatus(
        visit.label,
        "failed",
        "; ".join(failure["message"] for failure in failures),
        "; ".join(dict.fromkeys(failure["hint"] for failure in failures)),
        exit_code=codes.pop() if len(codes) == 1 else ExitCode.VISIT_FAILED,
    )


def _scan_record(settings: Settings, visit: Visit, scan: Scan) -> dict[str, Any] | None:
    return read_record(settings.work / sink_folder(visit, scan))


def _report(
    settings: Settings,
    visit: Visit,
    done: Sequence[tuple[Scan, Mapping[str, Any]]],
    failures: Sequence[Mapping[str, Any]],
) -> VisitReport:
    flags = [f"{scan.contrast}: {record['row']['flags']}" for scan, record in done if record["row"].get("flags")]
    figures = []
    for scan, record in done:
        kind = "brain" if scan.contrast == settings.reference else "registration"
        title, caption = CAPTIONS[kind]
        figures.append(Figure(f"{title}: {scan.contrast}", caption, record["figure"]))
    return VisitReport(
        visit=visit.label,
        version=__version__,
        rows=[record["row"] for _, record in done],
        decisions={scan.contrast: record["decisions"] for scan, record in done},
        flags=[*(f"{failure['message']} ({failure['hint']})" for failure in failures), *flags],
        figures=figures,
        methods=init_visit_wf(settings, visit).visit_desc(),
        outputs=[path for _, record in done for path in record["outputs"]],
        sloppy=settings.sloppy,
    )
