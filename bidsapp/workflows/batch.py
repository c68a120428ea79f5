"""Steps as jobs of a batch system: Nipype's plugins, with what they lack to be waited for and believed."""

from __future__ import annotations

import getpass
import importlib
import logging
import math
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from nipype.pipeline.plugins.base import PluginBase
from nipype.pipeline.plugins.tools import create_pyscript

from bidsapp.errors import AppError, ExitCode
from bidsapp.interfaces.base import ERROR_FILE
from bidsapp.workflows.cache import forget_gutted
from bidsapp.workflows.workers import report_crash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from networkx import DiGraph
    from nipype.pipeline.engine import Node

    from bidsapp.workflows.plugins import Plugin

log = logging.getLogger(__name__)

# Seconds between looks into the queue, in which a file has to appear on the file system that all see, and in which
# a controller that does not answer may come back.
POLL = 2.0
APPEARING = 30.0
SILENCE = 600.0
HINT = "see whether the batch system answers on this computer, and takes jobs"


class _BatchError(AppError):
    exit_code = ExitCode.TEMPORARY


def batch_plugin(plugin: Plugin, follow: Any) -> PluginBase:
    """Return Nipype's plugin of a batch system.

    Parameters
    ----------
    plugin : Plugin
        Its name and arguments.
    follow : callable
        Called with a node and ``start``, ``end`` or ``exception``.
    """
    os.environ.setdefault("LOGNAME", _user())  # job names have it
    args = {**plugin.args, "status_callback": follow}
    if plugin.name == "SLURMGraph":
        return SlurmGraph(args)
    module = importlib.import_module(f"nipype.pipeline.plugins.{plugin.name.lower()}")
    base = getattr(module, f"{plugin.name}Plugin")
    return _fresh(base)(plugin_args=args)


def ask_for(nodes: Iterable[Node], plugin: Plugin) -> None:
    """Let SLURM give each step the processors and memory that it declares, unless the user said how much.

    Parameters
    ----------
    nodes : iterable of Node
        Of the graph.
    plugin : Plugin
        What the user said.
    """
    if not plugin.name.startswith("SLURM"):
        return
    said = str(plugin.args.get("sbatch_args", ""))
    for node in nodes:
        words = [] if "--mem" in said else [f"--mem={math.ceil(1000 * node.mem_gb)}M"]
        if "--cpus-per-task" not in said and "-c " not in said:
            words.append(f"--cpus-per-task={node.n_procs}")
        node.plugin_args = {"sbatch_args": " " + " ".join(words)}


def _fresh(base: type[PluginBase]) -> type[PluginBase]:
    """Return a plugin that believes no earlier result, and takes its jobs back where it is ended itself."""

    class Fresh(base):  # type: ignore[misc, valid-type]
        def _local_hash_check(self, jobid: int, graph: Any) -> bool:
            forget_gutted(self.procs[jobid])
            return bool(super()._local_hash_check(jobid, graph))

        def _submit_job(self, node: Node, updatehash: bool = False) -> Any:
            _forget(node)
            try:
                return super()._submit_job(node, updatehash=updatehash)
            except RuntimeError as error:
                raise _BatchError(str(error).strip(), HINT) from error

        def _get_result(self, taskid: Any) -> Any:
            result = super()._get_result(taskid)
            # Of a job that was killed Nipype says so in one string, and falls over it.
            if result and isinstance(result["traceback"], str):
                result["traceback"] = [result["traceback"]]
            return result

        def _report_crash(self, node: Node, result: dict[str, Any] | None = None) -> str:
            return report_crash(node, result)

        def run(self, *args: Any, **options: Any) -> None:
            try:
                super().run(*args, **options)
            except BaseException:
                if base.__name__ == "SLURMPlugin" and self._pending:
                    _quietly(["scancel", *map(str, self._pending)])
                raise

    return Fresh


class SlurmGraph(PluginBase):  # type: ignore[misc]
    """All steps as jobs at once, each waiting in the queue for those before it.

    Nipype's own plugin of this name submits and returns: what failed stays unknown, and jobs behind it wait in the
    queue for ever. This one waits, and calls the same follower as the others.
    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        super().__init__(plugin_args)
        self._template = self.plugin_args.get("template", "#!/bin/bash")
        self._sbatch_args = str(self.plugin_args.get("sbatch_args", ""))
        self._name = f"synthprep-{uuid4().hex[:8]}"
        self._outputs: dict[Node, Path] = {}
        self._last = 0.0  # until when a file may still appear

    def run(self, graph: DiGraph, config: Any, updatehash: bool = False) -> None:  # noqa: ARG002
        """Submit a graph and wait for its jobs.

        Parameters
        ----------
        graph : DiGraph
            Of nodes.
        config : Mapping
            Nipype's.
        updatehash : bool
            Nipype's: mark steps as done that were done with other inputs.
        """
        import networkx as nx

        nodes: list[Node] = list(nx.topological_sort(graph))
        before = {node: list(graph.predecessors(node)) for node in nodes}
        try:
            finished = self._submit(nodes, before, updatehash)
            self._wait()
        except BaseException:
            _quietly(["scancel", f"--name={self._name}"])
            raise
        failed = [node for node in nodes if self._has_failed(node, before[node], finished)]
        if failed:
            raise RuntimeError(f"{len(failed)} steps failed")

    def _has_failed(self, node: Node, before: Sequence[Node], finished: set[Node]) -> bool:
        """Tell what became of a step, add it to those that finished, or return that it failed."""
        if node in finished or not all(earlier in finished for earlier in before):
            return False
        mark = self._mark(node)
        while not mark.exists() and not _error_of(node).exists() and time.monotonic() < self._last:
            time.sleep(0.2)
        ended = mark.exists()
        mark.unlink(missing_ok=True)
        if not ended:
            output = self._outputs[node]
            said = output.read_text(errors="replace") if output.is_file() else ""
            report_crash(node, {"traceback": said.splitlines(keepends=True)})
        self._status_callback(node, "end" if ended else "exception")
        if ended:
            finished.add(node)
        return not ended

    def _submit(self, nodes: Sequence[Node], before: Mapping[Node, Sequence[Node]], updatehash: bool) -> set[Node]:
        """Submit what has to be done, and return what is done already."""
        done: set[Node] = set()
        jobs: dict[Node, str] = {}
        for node in nodes:
            if all(earlier in done for earlier in before[node]) and _is_done(node):
                done.add(node)
                self._status_callback(node, "end")
                continue
            _forget(node)
            script = Path(create_pyscript(node, updatehash=updatehash, store_exception=False))
            line = f"{shlex.join([sys.executable, str(script)])} && touch {shlex.quote(str(self._mark(node)))}"
            batch = script.with_suffix(".sh")
            batch.write_text(f"{self._template.rstrip()}\n{line}\n", encoding="utf-8")
            waits = [jobs[earlier] for earlier in before[node] if earlier in jobs]
            words = ["sbatch", "--parsable", f"--job-name={self._name}", f"--output={batch}.out"]
            self._outputs[node] = Path(f"{batch}.out")
            words += [f"--dependency=afterok:{':'.join(waits)}", "--kill-on-invalid-dep=yes"] if waits else []
            words += shlex.split(self._sbatch_args + node.plugin_args.get("sbatch_args", ""))
            jobs[node] = _said([*words, str(batch)]).partition(";")[0].strip()
        log.info("%d jobs of the name %s were submitted", len(jobs), self._name)
        return done

    def _wait(self) -> None:
        """Return when no job of ours is in the queue any more."""
        heard = time.monotonic()
        while True:
            try:
                if not _said(["squeue", "--noheader", f"--name={self._name}", "--format=%i"]).strip():
                    self._last = time.monotonic() + APPEARING
                    return
                heard = time.monotonic()
            except _BatchError:
                if time.monotonic() - heard > SILENCE:
                    raise
            time.sleep(POLL)

    def _mark(self, node: Node) -> Path:
        """Return the file that a job leaves when its step has ended well."""
        return Path(node.output_dir()).with_name(f"{node.name}.{self._name}")


def _said(words: Sequence[str]) -> str:
    """Return what a command of SLURM says."""
    try:
        result = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise _BatchError(f"{words[0]}: {str(reason).strip()}", HINT) from error
    return result.stdout


def _quietly(words: Sequence[str]) -> None:
    try:
        subprocess.run(words, capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("%s: %s; jobs may be left in the queue", words[0], error)


def _is_done(node: Node) -> bool:
    """Return whether an earlier run has done a step, as Nipype decides it."""
    if node.overwrite or (node.overwrite is None and node.interface.always_run):
        return False
    forget_gutted(node)
    cached, updated = node.is_cached()
    return bool(cached and updated)


def _forget(node: Node) -> None:
    """Remove what an earlier run has left of a step that is to be done again."""
    folder = Path(node.output_dir())
    for file in (*folder.glob("result_*.pklz"), _error_of(node)):
        file.unlink(missing_ok=True)


def _error_of(node: Node) -> Path:
    return Path(node.output_dir()) / ERROR_FILE


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user whom this computer does not know, as in a container
        return "synthprep"
