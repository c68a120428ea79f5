"""The graph of a visit, and of all visits of a run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from niworkflows.engine.workflows import LiterateWorkflow

from bidsapp.reports.boilerplate import CLOSING, PREPARATION, compose
from bidsapp.workflows.given import tell_given
from bidsapp.workflows.memory import UNKNOWN, look_at
from bidsapp.workflows.nodes import RUN, scan_name, visit_name
from bidsapp.workflows.prose import sentences_of
from bidsapp.workflows.scan import REFERENCE_FIELDS, init_scan_wf
from bidsapp.workflows.spaces import SCAN_FIELDS, init_spaces_wf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.records import Visit
    from bidsapp.settings import Settings
    from bidsapp.workflows.memory import Memory


def init_visit_wf(settings: Settings, visit: Visit, memory: Memory = UNKNOWN) -> LiterateWorkflow:
    """Build the graph of one visit: the reference first, every other contrast aligned with it.

    Parameters
    ----------
    settings : Settings
        Folders, reference contrast, ``sloppy``.
    visit : Visit
        Has the reference.
    memory : Memory
        What the steps may read, and declare; a graph that is only looked at needs none.

    Returns
    -------
    LiterateWorkflow
        Its ``visit_desc()`` is the methods paragraph.
    """
    workflow = LiterateWorkflow(name=visit_name(visit))
    said = {visit.label: sentences_of(settings, visit)}
    workflow.__desc__, workflow.__postdesc__ = compose(said, PREPARATION), compose(said, CLOSING)
    reference = init_scan_wf(settings, visit, visit.scan(settings.reference), memory)
    workflow.add_nodes([reference])
    for scan in visit.scans:
        if scan.contrast != settings.reference:
            aligned = init_scan_wf(settings, visit, scan, memory)
            fields = [(f"outputnode.{field}", f"inputnode.{field}") for field in REFERENCE_FIELDS]
            workflow.connect([(reference, aligned, fields)])
    if settings.spaces:
        _connect_spaces(workflow, settings, visit, memory)
    return workflow


def _connect_spaces(workflow: LiterateWorkflow, settings: Settings, visit: Visit, memory: Memory) -> None:
    spaces = init_spaces_wf(settings, visit, memory)
    for scan in visit.scans:
        fields = [*SCAN_FIELDS, *(["transform"] if scan.contrast != settings.reference else [])]
        links = [(f"outputnode.{field}", f"{scan.contrast}_in.{field}") for field in fields]
        workflow.connect([(workflow.get_node(scan_name(scan)), spaces, links)])


def init_run_wf(settings: Settings, visits: Sequence[Visit], granted_gb: float) -> LiterateWorkflow:
    """Build one graph of all visits: whichever node is ready takes the next free core.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    visits : sequence of Visit
        The headers of their scans are read.
    granted_gb : float
        Memory that the run was granted.

    Returns
    -------
    LiterateWorkflow
    """
    for visit in visits:
        tell_given(settings, visit)
    workflow = LiterateWorkflow(name=RUN, base_dir=str(settings.work.absolute()))
    memories = [look_at(settings, visit, granted_gb)[0] for visit in visits]
    workflow.add_nodes(list(map(partial(init_visit_wf, settings), visits, memories)))
    return workflow
