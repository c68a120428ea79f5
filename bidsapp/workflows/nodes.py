"""What the nodes of a run are called, and where they work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bidsapp.records import Scan, Visit
    from bidsapp.settings import Settings

RUN = "participant"

# What a step does, as a person is told that it failed.
STEPS = {
    "header": "header check",
    "brain": "brain mask",
    "bias": "bias field",
    "register": "registration",
    "resample": "resampling",
    "head": "head mask",
    "tissue": "tissue classes",
    "normalize": "intensity scale",
    "measure": "quality numbers",
    "figure": "figure",
    "sink": "writing",
    "templates": "registration to templates",
    "write": "writing in standard spaces",
}


def visit_name(visit: Visit) -> str:
    """Return the name of a visit's workflow, ``sub_01_ses_A``.

    Nipype takes word characters only, and BIDS allows ``+`` in labels. No label has an underscore, so that
    ``_2b_`` for it cannot make two visits one.
    """
    labels = [visit.subject, *([visit.session] if visit.session else [])]
    plain = (re.sub("[^A-Za-z0-9]", lambda found: f"_{ord(found[0]):x}_", label) for label in labels)
    return "_".join(f"{key}_{label}" for key, label in zip(("sub", "ses"), plain, strict=False))


def scan_name(scan: Scan) -> str:
    """Return the name of a scan's workflow."""
    return f"{scan.contrast}_wf"


def sink_node(visit: Visit, scan: Scan) -> str:
    """Return the full name of the node that ends a scan's path."""
    return f"{RUN}.{visit_name(visit)}.{scan_name(scan)}.sink"


def spaces_node(visit: Visit, scan: Scan) -> str:
    """Return the full name of the node that writes a scan in standard spaces."""
    return f"{RUN}.{visit_name(visit)}.spaces_wf.{scan.contrast}_write"


def node_folder(settings: Settings, node: str) -> Path:
    """Return the folder in which a node of a full name works."""
    return settings.work / node.replace(".", "/")


def place_of(node: str) -> tuple[str, str]:
    """Return contrast and step of a node's full name, as a person calls them; the contrast may be empty."""
    *_, graph, name = node.split(".")
    contrast = graph.removesuffix("_wf")
    if contrast == "spaces":  # its nodes are of all scans: T1w_write, templates
        contrast, _, name = name.rpartition("_")
    return contrast, STEPS.get(name, name)


def crash_name(node: str) -> str:
    """Return the name of the file with the traceback of a failed node."""
    return f"crash-{node.partition('.')[2]}.txt"
