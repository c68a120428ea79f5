"""The path of one scan: header → brain mask → bias field → common grid → intensity scale → derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node
from niworkflows.engine.workflows import LiterateWorkflow

from bidsapp import __version__
from bidsapp.interfaces.align import Normalize, Register, Resample
from bidsapp.interfaces.output import SinkScan
from bidsapp.interfaces.quality import Figure, Measure
from bidsapp.interfaces.scan import BrainMask, CheckHeader, CorrectBias

if TYPE_CHECKING:
    from bidsapp.records import Scan, Visit
    from bidsapp.settings import Settings

# GB. Behind each figure the peak resident memory that was measured on the T1w and FLAIR of a clinical visit with a
# grid of 233 × 233 × 144, each step in a process of its own; what is declared leaves 0.4 or more to larger scans.
# Every step holds one thread: ANTs repeats itself only so, and the other cores have other scans to work on.
MEMORY_GB = {
    "header": 0.6,  # 0.12
    "brain": 1.6,  # 1.12
    "bias": 1.0,  # 0.50
    "register": 1.0,  # 0.48
    "resample": 0.7,  # 0.23
    "normalize": 0.6,  # 0.18
    "measure": 0.7,  # 0.24
    "figure": 0.8,  # 0.35
    "sink": 0.6,  # 0.18
}


@dataclass(frozen=True)
class Method:
    """Parameters of the steps, full or coarse."""

    spacing: float = 1.0
    bias_levels: int = 4
    sloppy: bool = False


SLOPPY = Method(spacing=3.0, bias_levels=1, sloppy=True)


def init_scan_wf(settings: Settings, visit: Visit, scan: Scan, *, overwrite: bool) -> LiterateWorkflow:
    """Build the graph of one scan.

    Parameters
    ----------
    settings : Settings
        Folders, reference contrast, ``sloppy``.
    visit : Visit
        The visit that the scan belongs to.
    scan : Scan
        The scan; the reference defines the grid, any other one is registered to it.
    overwrite : bool
        Write the derivatives even if the work folder says that they were written.

    Returns
    -------
    LiterateWorkflow
        Node ``inputnode`` takes the reference's corrected image (own grid), and its image and mask on the common
        grid; ``outputnode`` gives them. The reference itself needs no input.
    """
    method = SLOPPY if settings.sloppy else Method()
    aligned = scan.contrast != settings.reference
    workflow = LiterateWorkflow(name=scan_name(scan))
    workflow.__desc__ = _describe(scan.contrast, settings.reference, method)
    fields = ["corrected", "image", "mask"]
    source = Node(IdentityInterface(fields=fields), name="inputnode", mem_gb=0.01)
    result = Node(IdentityInterface(fields=fields), name="outputnode", mem_gb=0.01)
    header = _node("header", CheckHeader(in_file=str(scan.path), stamp=_stamp(scan)))
    brain = _node("brain", BrainMask(scan=str(scan.path)))
    bias = _node("bias", CorrectBias(levels=method.bias_levels))
    resample = _node("resample", Resample(spacing=method.spacing))
    normalize = _node("normalize", Normalize())
    measure = _node("measure", Measure())
    figure = _node("figure", Figure())
    sink = _node("sink", _sink(settings, visit, scan, method), overwrite=overwrite or None)
    workflow.connect(
        [
            (header, brain, [("out_file", "in_file")]),
            (header, bias, [("out_file", "in_file")]),
            (header, sink, [("decisions", "decisions"), ("fingerprint", "fingerprint")]),
            (brain, bias, [("out_file", "mask")]),
            (brain, resample, [("out_file", "mask")]),
            (bias, resample, [("out_file", "in_file")]),
            (resample, normalize, [("out_file", "in_file"), ("mask", "mask")]),
            (resample, measure, [("mask", "mask")]),
            (resample, figure, [("out_file", "image")]),
            (resample, sink, [("out_file", "preproc"), ("mask", "mask")]),
            (normalize, sink, [("out_file", "normalized"), ("scale", "scale")]),
            (measure, sink, [("numbers", "numbers")]),
            (figure, sink, [("out_file", "figure")]),
            (bias, result, [("out_file", "corrected")]),
            (resample, result, [("out_file", "image"), ("mask", "mask")]),
        ]
    )
    if aligned:
        _connect_alignment(workflow, source, method)
    else:
        workflow.connect(bias, "out_file", resample, "reference")
        workflow.connect(resample, "mask", figure, "mask")
    return workflow


def _connect_alignment(workflow: LiterateWorkflow, source: Node, method: Method) -> None:
    """Register the scan to the reference, and measure and draw how well that went."""
    bias, resample, measure, figure, sink = (
        workflow.get_node(name) for name in ("bias", "resample", "measure", "figure", "sink")
    )
    register = _node("register", Register(sloppy=method.sloppy))
    workflow.connect(
        [
            (source, register, [("corrected", "fixed")]),
            (bias, register, [("out_file", "moving")]),
            (source, resample, [("corrected", "reference")]),
            (register, resample, [("transform", "transform")]),
            (source, measure, [("corrected", "reference"), ("mask", "reference_mask")]),
            (bias, measure, [("out_file", "scan")]),
            (register, measure, [("transform", "transform")]),
            (source, figure, [("image", "reference"), ("mask", "mask")]),
            (register, sink, [("transform", "transform")]),
        ]
    )


def scan_name(scan: Scan) -> str:
    """Return the name of a scan's workflow."""
    return f"{scan.contrast}_wf"


def _node(name: str, interface: Any, **options: Any) -> Node:
    return Node(interface, name=name, n_procs=1, mem_gb=MEMORY_GB[name], **options)


def _sink(settings: Settings, visit: Visit, scan: Scan, method: Method) -> SinkScan:
    return SinkScan(
        out_dir=str(settings.output_dir.absolute()),
        raw_dir=str(settings.bids_dir.absolute()),
        visit=visit,
        contrast=scan.contrast,
        reference=settings.reference,
        spacing=method.spacing,
        sloppy=method.sloppy,
    )


def _stamp(scan: Scan) -> str:
    """Return size and time of the file behind a scan, and our version: what else makes a kept result outdated.

    A scan that cannot be read says so in its header check.
    """
    try:
        status = scan.path.stat()
    except OSError:
        return "unreadable"
    return f"{status.st_size} {status.st_mtime_ns} {__version__}"


def _describe(contrast: str, reference: str, method: Method) -> str:
    text = (
        f"The brain was found on the {contrast} with deepbet [@deepbet], and the bias field was estimated inside "
        f"it by N4 [@n4] at {method.bias_levels} fitting level(s) and divided out of the whole head. "
    )
    if contrast != reference:
        levels = "two coarse levels" if method.sloppy else "four levels"
        text += (
            f"The {contrast} was registered to the {reference} rigidly by mutual information, {levels} [@ants]. "
        )
    return text + (
        f"One cubic B-spline interpolation carried it to the visit's {method.spacing:g} mm isotropic grid; its "
        "intensities were scaled so that the median in the brain is 0 and the interquartile range 1.\n"
    )
