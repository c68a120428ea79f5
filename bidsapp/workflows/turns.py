"""When the turn of each visit of a graph is over: nothing of it is left that could still run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nipype.interfaces.utility import IdentityInterface

if TYPE_CHECKING:
    from nipype.pipeline.engine import Workflow


class Turns:
    """Counts down the nodes of each visit, a sub-graph of the run's graph.

    Parameters
    ----------
    workflow : Workflow
        The run's graph, before it runs.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._left: dict[str, set[str]] = {}
        for name in workflow.list_node_names():
            # Nipype takes nodes that only hand on their inputs out of the graph before it runs.
            if not isinstance(workflow.get_node(name).interface, IdentityInterface):
                self._left.setdefault(visit_of(f"{workflow.name}.{name}"), set()).add(f"{workflow.name}.{name}")

    @property
    def nodes(self) -> int:
        """Number of nodes that are left."""
        return sum(map(len, self._left.values()))

    def count(self, node: str, *, failed: bool) -> bool:
        """Take a node off, and what depends on it where it failed; return whether that ends its visit's turn."""
        left = self._left.get(visit_of(node))
        if not left:
            return False
        left.discard(node)
        if failed:
            left -= self._dependents(node)
        return not left

    def _dependents(self, node: str) -> set[str]:
        """Return what can never run where a node failed; the graph of the visit alone is looked through."""
        import networkx as nx

        graph = self._workflow.get_node(visit_of(node))._create_flat_graph()  # a copy, whose names begin with it
        names = {member: f"{self._workflow.name}.{member.fullname}" for member in graph}
        (failed,) = (member for member, name in names.items() if name == node)
        return {names[member] for member in nx.descendants(graph, failed)}


def visit_of(node: str) -> str:
    """Return the name of the visit's graph: ``sub_01`` of ``participant.sub_01.T1w_wf.brain``."""
    return node.split(".")[1]
