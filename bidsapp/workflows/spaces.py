"""The path from a visit's scans to standard spaces, beside the one to its common grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node
from niworkflows.engine.workflows import LiterateWorkflow

from bidsapp.imaging.ct import AIR_HU
from bidsapp.interfaces.record import is_complete
from bidsapp.interfaces.spaces import RegisterTemplates, WriteSpaces, template_names
from bidsapp.reports.boilerplate import SPACES, compose
from bidsapp.workflows.method import given_uris, method_of
from bidsapp.workflows.nodes import node_folder, spaces_node
from bidsapp.workflows.prose import sentences_of

if TYPE_CHECKING:
    from bidsapp.records import Scan, Visit
    from bidsapp.settings import Settings
    from bidsapp.workflows.memory import Memory

# What each scan gives: its corrected image and mask, how the mask was found, what its header said.
SCAN_FIELDS = ("corrected", "brain", "found_by", "stripped", "decisions", "fingerprint")


def init_spaces_wf(settings: Settings, visit: Visit, memory: Memory) -> LiterateWorkflow:
    """Build the graph that carries a visit's scans to the standard spaces of the settings.

    Parameters
    ----------
    settings : Settings
        Has at least one standard space.
    visit : Visit
        Has the reference.
    memory : Memory
        What the steps declare.

    Returns
    -------
    LiterateWorkflow
        For each contrast an input node, ``T1w_in``, with `SCAN_FIELDS`, and ``transform`` if it is no reference.
    """
    workflow = LiterateWorkflow(name="spaces_wf")
    spaces, reference = list(settings.spaces), settings.reference
    workflow.__desc__ = compose({visit.label: sentences_of(settings, visit)}, SPACES)
    step = RegisterTemplates(
        templates=template_names(spaces), kind=settings.template_registration, sloppy=settings.sloppy
    )
    templates = Node(step, name="templates", n_procs=1, mem_gb=memory.declared("spaces_wf.templates"))
    for scan in visit.scans:
        fields = [*SCAN_FIELDS, *(["transform"] if scan.contrast != reference else [])]
        source = Node(IdentityInterface(fields=fields), name=f"{scan.contrast}_in", mem_gb=0.01)
        write = _write(settings, visit, scan, memory)
        workflow.connect(
            [
                (source, write, [("corrected", "image"), ("brain", "mask"), *((f, f) for f in fields[2:])]),
                (templates, write, [("to_template", "to_template"), ("from_template", "from_template")]),
            ]
        )
        if scan.contrast == reference:
            workflow.connect([(source, templates, [("corrected", "image"), ("brain", "mask")])])
    return workflow


def _write(settings: Settings, visit: Visit, scan: Scan, memory: Memory) -> Node:
    spaces, method = list(settings.spaces), method_of(settings, visit, scan)
    step = WriteSpaces(
        out_dir=str(settings.output_dir.absolute()),
        raw_dir=str(settings.bids_dir.absolute()),
        visit=visit,
        contrast=scan.contrast,
        reference=settings.reference,
        spaces=spaces,
        kind=settings.template_registration,
        fill=AIR_HU if method.ct else 0.0,
        corrected=method.corrected,
        sloppy=settings.sloppy,
        given=given_uris(method),
    )
    work = node_folder(settings, spaces_node(visit, scan))
    overwrite = None if is_complete(work, settings.output_dir) else True
    name = f"{scan.contrast}_write"
    declared = memory.declared(f"spaces_wf.{name}")
    return Node(step, name=name, n_procs=1, mem_gb=declared, overwrite=overwrite)
