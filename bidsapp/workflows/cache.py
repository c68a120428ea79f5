"""Which steps of a graph an earlier run has finished, with the same inputs and settings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp.workflows.execution import configure

if TYPE_CHECKING:
    from nipype.pipeline.engine import Node, Workflow

log = logging.getLogger(__name__)


def cached_nodes(workflow: Workflow) -> tuple[dict[str, float], set[str]]:
    """Ask Nipype what it would ask in a run, and run nothing.

    Parameters
    ----------
    workflow : Workflow
        Has a base folder. It is not changed, nor is anything on disk.

    Returns
    -------
    dict of str to float
        Full name of every node that would be looked at → the memory that it declares, GB.
    set of str
        Those whose results would be taken as they are.
    """
    configure(workflow, Path(workflow.base_dir), stop_on_first_crash=False)
    looker = _Looker()
    workflow.run(plugin=looker)
    return looker.nodes, looker.cached


class _Looker:
    """Stands where Nipype expects what runs a graph: it is handed the very graph that would be run."""

    plugin_args: dict[str, Any] = {}  # noqa: RUF012 - Nipype reads it, nobody writes it

    def __init__(self) -> None:
        self.nodes: dict[str, float] = {}
        self.cached: set[str] = set()

    def run(self, graph: Any, **_: Any) -> None:
        """Look at each node after those that it depends on."""
        import networkx as nx

        for node in nx.topological_sort(graph):
            self.nodes[node.fullname] = float(node.mem_gb)
            before = {earlier.fullname for earlier in graph.predecessors(node)}
            if before <= self.cached and _is_cached(node):
                self.cached.add(node.fullname)


def _is_cached(node: Node) -> bool:
    """Return whether a node's results are there, of the same inputs; Nipype's own question would tidy up, too."""
    folder = Path(node.output_dir())
    if node.overwrite or not (folder / f"result_{node.name}.pklz").exists():
        return False
    try:
        _, known_by = node._get_hashval()
    except Exception as error:  # noqa: BLE001 - a result of an earlier version that cannot be read is none
        log.debug("%s: %s", node.fullname, error)
        return False
    return (folder / f"_0x{known_by}.json").exists()
