"""The graph of a visit, and of all visits of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from niworkflows.engine.workflows import LiterateWorkflow

from bidsapp.reports.boilerplate import CLOSING, PREPARATION, compose
from bidsapp.workflows.given import tell_given
from bidsapp.workflows.nodes import RUN, scan_name, visit_name
from bidsapp.workflows.prose import sentences_of
from bidsapp.workflows.scan import REFERENCE_FIELDS, init_scan_wf
from bidsapp.workflows.spaces import SCAN_FIELDS, init_spaces_wf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.records import Visit
    from bidsapp.settings import Settings


def init_visit_wf(settings: Settings, visit: Visit) -> LiterateWorkflow:
    """Build the graph of one visit: the reference first, every other contrast aligned with it.

    Parameters
    ----------
    settings : Settings
        Folders, reference contrast, ``sloppy``.
    visit : Visit
        Has the reference.

    Returns
    -------
    LiterateWorkflow
        Its ``visit_desc()`` is the methods paragraph.
    """
    workflow = LiterateWorkflow(name=visit_name(visit))
    said = {visit.label: sentences_of(settings, visit)}
    workflow.__desc__, workflow.__postdesc__ = compose(said, PREPARATION), compose(said, CLOSING)
    reference = init_scan_wf(settings, visit, visit.scan(settings.reference))
    workflow.add_nodes([reference])
    for scan in visit.scans:
        if scan.contrast != settings.reference:
            aligned = init_scan_wf(settings, visit, scan)
            fields = [(f"outputnode.{field}", f"inputnode.{field}") for field in REFERENCE_FIELDS]
            workflow.connect([(reference, aligned, fields)])
    if settings.spaces:
        _connect_spaces(workflow, settings, visit)
    return workflow


def _connect_spaces(workflow: LiterateWorkflow, settings: Settings, visit: Visit) -> None:
    spaces = init_spaces_wf(settings, visit)
    for scan in visit.scans:
        fields = [*SCAN_FIELDS, *(["transform"] if scan.contrast != settings.reference else [])]
        links = [(f"outputnode.{field}", f"{scan.contrast}_in.{field}") for field in fields]
        workflow.connect([(workflow.get_node(scan_name(scan)), spaces, links)])


def init_run_wf(settings: Settings, visits: Sequence[Visit]) -> LiterateWorkflow:
    """Build one graph of all visits: whichever node is ready takes the next free core."""
    for visit in visits:
        tell_given(settings, visit)
    workflow = LiterateWorkflow(name=RUN, base_dir=str(settings.work.absolute()))
    workflow.add_nodes([init_visit_wf(settings, visit) for visit in visits])
    return workflow
