"""The graph of a run as a picture."""

from __future__ import annotations

import logging
import shutil
import subprocess
from typing import TYPE_CHECKING

from bidsapp.workflows.visit import init_visit_wf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bidsapp.records import Visit
    from bidsapp.settings import Settings

log = logging.getLogger(__name__)


def draw_graph(settings: Settings, visits: Sequence[Visit], folder: Path) -> list[Path]:
    """Write the graph of the visit that has the most scans: the others' are the same, or parts of it.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    visits : sequence of Visit
        At least one.
    folder : Path
        Where to.

    Returns
    -------
    list of Path
        ``graph.dot`` and, where graphviz is installed and can draw it, ``graph.svg``.
    """
    visit = max(visits, key=lambda visit: len(visit.scans))
    dot, svg = folder / "graph.dot", folder / "graph.svg"
    init_visit_wf(settings, visit).write_hierarchical_dotfile(dotfilename=str(dot), colored=True)
    program = shutil.which("dot")
    if program is None:
        log.warning("%s: graphviz is not installed, so it is not drawn; `dot -Tsvg` does that", dot)
        return [dot]
    drawn = subprocess.run(
        [program, "-Tsvg", str(dot), "-o", str(svg)], capture_output=True, text=True, check=False
    )
    if drawn.returncode:
        log.warning("%s: graphviz cannot draw it: %s", dot, drawn.stderr.strip())
        return [dot]
    return [dot, svg]
