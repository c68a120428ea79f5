"""The graph of a visit, and of all visits of a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from niworkflows.engine.workflows import LiterateWorkflow

from bidsapp.workflows.given import tell_given
from bidsapp.workflows.scan import REFERENCE_FIELDS, init_scan_wf, scan_name
from bidsapp.workflows.spaces import SCAN_FIELDS, init_spaces_wf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.records import Scan, Visit
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
    workflow = LiterateWorkflow(name="participant", base_dir=str(settings.work.absolute()))
    workflow.add_nodes([init_visit_wf(settings, visit) for visit in visits])
    return workflow


def visit_name(visit: Visit) -> str:
    """Return the name of a visit's workflow, ``sub_01_ses_A``.

    Nipype takes word characters only, and BIDS allows ``+`` in labels. No label has an underscore, so that
    ``_2b_`` for it cannot make two visits one.
    """
    labels = [visit.subject, *([visit.session] if visit.session else [])]
    plain = (re.sub("[^A-Za-z0-9]", lambda found: f"_{ord(found[0]):x}_", label) for label in labels)
    return "_".join(f"{key}_{label}" for key, label in zip(("sub", "ses"), plain, strict=False))


def spaces_node(visit: Visit, scan: Scan) -> str:
    """Return the full name of the node that writes a scan in standard spaces."""
    return f"participant.{visit_name(visit)}.spaces_wf.{scan.contrast}_write"


def sink_node(visit: Visit, scan: Scan) -> str:
    """Return the full name of the node that ends a scan's path; with slashes for dots, its working folder."""
    return f"participant.{visit_name(visit)}.{scan_name(scan)}.sink"
