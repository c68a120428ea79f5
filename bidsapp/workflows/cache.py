"""Which steps of a graph an earlier run has finished, and which of its results are none any more."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp.workflows.execution import configure

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def forget_gutted(node: Node) -> None:
    """Remove an earlier result that `is_gutted`: Nipype would take it, and fall over it at the next step."""
    if is_gutted(node):
        _result_file(node).unlink(missing_ok=True)


def is_gutted(node: Node) -> bool:
    """Return whether files that an earlier result names are gone, or lie where the work folder was before.

    Results name files by absolute paths, and what Nipype knows a finished step by leaves paths out.
    """
    if not _result_file(node).is_file():
        return False
    folder = node.output_dir()
    try:
        outputs = node.result.outputs.get()
    except Exception as error:  # noqa: BLE001 - what cannot be read, as of a step that failed, is no result
        log.debug("%s: %s", node.fullname, error)
        return True
    # The step's own files, wherever the work folder was: what it only hands on is another step's to lose.
    own = f"/{node.fullname.replace('.', '/')}/"
    files = [text for text in _texts(outputs) if own in text]
    return any(not file.startswith(f"{folder}/") or not Path(file).exists() for file in files)


def _texts(value: Any) -> Iterator[str]:
    """Yield the strings in an output, which may be a list or a dict."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _result_file(node: Node) -> Path:
    return Path(node.output_dir()) / f"result_{node.name}.pklz"


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
    if node.overwrite or not _result_file(node).exists() or is_gutted(node):
        return False
    try:
        _, known_by = node._get_hashval()
    except Exception as error:  # noqa: BLE001 - a result of an earlier version that cannot be read is none
        log.debug("%s: %s", node.fullname, error)
        return False
    return (Path(node.output_dir()) / f"_0x{known_by}.json").exists()
