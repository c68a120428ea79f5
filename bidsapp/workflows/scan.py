"""The path of one scan: header → brain mask → bias field → common grid → intensity scale → derivatives."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node
from niworkflows.engine.workflows import LiterateWorkflow

from bidsapp import __version__
from bidsapp.imaging.ct import AIR_HU
from bidsapp.interfaces.align import HeadMask, Normalize, Register, Resample, Tissue
from bidsapp.interfaces.figures import Draw
from bidsapp.interfaces.output import SinkScan
from bidsapp.interfaces.quality import Measure
from bidsapp.interfaces.record import is_complete
from bidsapp.interfaces.scan import BrainMask, CheckHeader, CorrectBias
from bidsapp.workflows.method import given_uris, method_of, resolution_text
from bidsapp.workflows.nodes import node_folder, scan_name, sink_node

if TYPE_CHECKING:
    from collections.abc import Callable

    from bidsapp.bids.precomputed import Given
    from bidsapp.records import Scan, Visit
    from bidsapp.settings import Settings
    from bidsapp.workflows.memory import Memory
    from bidsapp.workflows.method import Method

    NewNode = Callable[..., Node]

# What the reference gives to the scans that are aligned with it: the corrected image and the brain mask in its own
# grid; image, mask and, of a T1w, tissue classes on the common one; which scan it is.
REFERENCE_FIELDS = ("corrected", "brain", "image", "mask", "tissue", "fingerprint")
# What only the path to standard spaces takes from a scan.
FURTHER_FIELDS = ("found_by", "stripped", "decisions", "transform")


def init_scan_wf(settings: Settings, visit: Visit, scan: Scan, memory: Memory) -> LiterateWorkflow:
    """Build the graph of one scan.

    Parameters
    ----------
    settings : Settings
        Folders, reference contrast, ``sloppy``.
    visit : Visit
        The visit that the scan belongs to.
    scan : Scan
        The scan; the reference defines the grid, any other one is registered to it.
    memory : Memory
        What the steps may read, and declare.

    Returns
    -------
    LiterateWorkflow
        Node ``inputnode`` takes the reference's corrected image (own grid), and its image and mask on the common
        grid; ``outputnode`` gives them. The reference itself needs no input.
    """
    method = method_of(settings, visit, scan)
    workflow = LiterateWorkflow(name=scan_name(scan))
    source = Node(IdentityInterface(fields=list(REFERENCE_FIELDS)), name="inputnode", mem_gb=0.01)
    result = Node(IdentityInterface(fields=[*REFERENCE_FIELDS, *FURTHER_FIELDS]), name="outputnode", mem_gb=0.01)
    node = partial(_node, memory, scan)
    header, brain = _first_nodes(scan, method, memory, node)
    resample = node("resample", Resample(resolution=method.resolution, fill=AIR_HU if method.ct else 0.0))
    normalize = node("normalize", Normalize(method=method.normalization, contrast=scan.contrast))
    measure = node("measure", Measure(ct=method.ct))
    figure = node("figure", Draw(ct=method.ct))
    # The work folder may say that derivatives were written which are gone, or were replaced.
    complete = is_complete(node_folder(settings, sink_node(visit, scan)), settings.output_dir)
    sink = node("sink", _sink(settings, visit, scan, method), overwrite=None if complete else True)
    workflow.connect(
        [
            (header, brain, [("out_file", "in_file")]),
            (header, sink, [(field, field) for field in ("decisions", "fingerprint", "grid", "header")]),
            (brain, resample, [("out_file", "mask")]),
            (brain, sink, [("found_by", "found_by"), ("stripped", "stripped")]),
            (brain, measure, [("out_file", "scan_mask")]),
            (brain, result, [("out_file", "brain"), ("found_by", "found_by"), ("stripped", "stripped")]),
            (header, result, [("decisions", "decisions"), ("fingerprint", "fingerprint")]),
            (resample, normalize, [("out_file", "in_file"), ("mask", "mask")]),
            (resample, measure, [("out_file", "image"), ("mask", "mask")]),
            (resample, figure, [("out_file", "image"), ("mask", "mask")]),
            (resample, sink, [("out_file", "preproc"), ("mask", "mask")]),
            (resample, result, [("out_file", "image"), ("mask", "mask")]),
            (normalize, sink, [("out_file", "normalized"), ("scale", "scale"), ("histogram", "histogram")]),
            (measure, sink, [("numbers", "numbers")]),
            (figure, sink, [("figures", "figures")]),
        ]
    )
    corrected = _correct(workflow, method, node)
    workflow.connect(
        [
            (corrected, resample, [("out_file", "in_file")]),
            (corrected, measure, [("out_file", "scan")]),
            (corrected, result, [("out_file", "corrected")]),
        ]
    )
    if scan.contrast == settings.reference:
        _connect_reference(workflow, corrected, result, node, tissue=scan.contrast == "T1w")
    else:
        _connect_alignment(workflow, corrected, source, method, node, tissue=settings.reference == "T1w")
    if method.ct or scan.contrast == settings.reference:
        head = node("head", HeadMask())
        workflow.connect([(resample, head, [("out_file", "in_file")]), (head, sink, [("out_file", "head")])])
        if method.ct:
            register = workflow.get_node("register")
            workflow.connect([(header, head, [("out_file", "scan")]), (head, sink, [("measured", "measured")])])
            workflow.connect([(brain, head, [("stripped", "stripped")]), (resample, head, [("mask", "mask")])])
            workflow.connect(register, "transform", head, "transform")
    return workflow


def _first_nodes(scan: Scan, method: Method, memory: Memory, node: NewNode) -> tuple[Node, Node]:
    """Return the nodes that read what somebody brought: they are told what may be read."""
    check = CheckHeader(in_file=str(scan.path), ct=method.ct, stamp=_stamp(scan), **_given(method.image))
    strip = BrainMask(scan=str(scan.path), method=method.brain, **_given(method.mask))
    if memory.granted_gb is not None:
        check.inputs.memory_gb = strip.inputs.memory_gb = memory.granted_gb
    return node("header", check), node("brain", strip)


def _correct(workflow: LiterateWorkflow, method: Method, node: NewNode) -> Node:
    """Return the node whose ``out_file`` is the scan without its bias field."""
    header, brain = workflow.get_node("header"), workflow.get_node("brain")
    if not method.bias_levels:
        return header
    bias = node("bias", CorrectBias(levels=method.bias_levels))
    figure = workflow.get_node("figure")
    workflow.connect(
        [
            (header, bias, [("out_file", "in_file")]),
            (brain, bias, [("out_file", "mask")]),
            (bias, workflow.get_node("measure"), [("field", "field")]),
            (header, figure, [("out_file", "acquired")]),
            (bias, figure, [("field", "field"), ("out_file", "corrected")]),
            (brain, figure, [("out_file", "scan_mask")]),
        ]
    )
    if method.write_field:
        workflow.connect(bias, "field", workflow.get_node("sink"), "field")
    return bias


def _connect_reference(
    workflow: LiterateWorkflow, corrected: Node, result: Node, node: NewNode, *, tissue: bool
) -> None:
    """Let the reference define the grid and, where it is a T1w, the tissue classes of the visit."""
    resample, normalize, measure = (workflow.get_node(name) for name in ("resample", "normalize", "measure"))
    workflow.connect([(corrected, resample, [("out_file", "reference")])])
    if tissue:
        classes = node("tissue", Tissue())
        workflow.connect(
            [
                (resample, classes, [("out_file", "in_file"), ("mask", "mask")]),
                (classes, normalize, [("out_file", "tissue")]),
                (classes, measure, [("out_file", "tissue")]),
                (classes, result, [("out_file", "tissue")]),
            ]
        )


def _connect_alignment(
    workflow: LiterateWorkflow, corrected: Node, source: Node, method: Method, node: NewNode, *, tissue: bool
) -> None:
    """Register the scan to the reference, and measure and draw how well that went."""
    brain, resample, normalize, measure, figure, sink, result = (
        workflow.get_node(name)
        for name in ("brain", "resample", "normalize", "measure", "figure", "sink", "outputnode")
    )
    register = node(
        "register",
        Register(kind=method.registration, ct=method.ct, sloppy=method.sloppy, **_given(method.transform)),
    )
    workflow.connect(
        [
            (source, register, [("corrected", "fixed"), ("brain", "fixed_mask")]),
            (corrected, register, [("out_file", "moving")]),
            (brain, register, [("out_file", "moving_mask")]),
            (source, resample, [("corrected", "reference")]),
            (register, resample, [("transform", "transform")]),
            (source, measure, [("corrected", "reference"), ("brain", "reference_mask")]),
            (register, measure, [("transform", "transform")]),
            (source, figure, [("image", "reference"), ("mask", "reference_mask")]),
            (source, sink, [("fingerprint", "reference_fingerprint")]),
            (register, sink, [("transform", "transform")]),
            (register, result, [("transform", "transform")]),
        ]
    )
    if tissue and not method.ct:
        workflow.connect([(source, normalize, [("tissue", "tissue")]), (source, measure, [("tissue", "tissue")])])


def _given(file: Given | None) -> dict[str, str]:
    return {"given": str(file.path)} if file else {}


def _node(memory: Memory, scan: Scan, name: str, interface: Any, **options: Any) -> Node:
    declared = memory.declared(f"{scan_name(scan)}.{name}")
    return Node(interface, name=name, n_procs=1, mem_gb=declared, **options)


def _sink(settings: Settings, visit: Visit, scan: Scan, method: Method) -> SinkScan:
    return SinkScan(
        out_dir=str(settings.output_dir.absolute()),
        raw_dir=str(settings.bids_dir.absolute()),
        visit=visit,
        contrast=scan.contrast,
        reference=settings.reference,
        resolution=resolution_text(method.resolution),
        corrected=method.corrected,
        sloppy=method.sloppy,
        given=given_uris(method),
    )


def _stamp(scan: Scan) -> str:
    """Return size and time of the file, our version, what steps learned since: what else outdates a kept result.

    A scan that cannot be read says so in its header check.
    """
    try:
        status = scan.path.stat()
    except OSError:
        return "unreadable"
    return f"{status.st_size} {status.st_mtime_ns} {__version__} grid header stripped edges"
