"""What the nodes of a run are called, and where they work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bidsapp.records import Scan, Visit
    from bidsapp.settings import Settings

RUN = "participant"


def visit_name(visit: Visit) -> str:
    """Return the name of a visit's workflow."""
    return visit.label.replace("-", "_")


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
