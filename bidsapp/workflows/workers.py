"""Worker processes of a graph, one of which may be killed without taking the run with it."""

from __future__ import annotations

import json
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.pipeline.plugins.multiproc import MultiProcPlugin, process_initializer, run_node

from bidsapp.errors import ExitCode
from bidsapp.interfaces.base import ERROR_FILE

if TYPE_CHECKING:
    from nipype.pipeline.engine import Node


class Workers(MultiProcPlugin):
    """Nipype's MultiProc plugin, which alone would wait for ever for a process that the system killed.

    A pool that loses a process fails all nodes that were under way, and does not say whose process it was. Each of
    them is therefore tried once more, in a process of its own; the one that is killed again has failed.
    """

    def _submit_job(self, node: Node, updatehash: bool = False) -> int:
        self._taskid += 1
        job = (node, updatehash, self._taskid)
        try:
            self._send(self.pool, job, again=True)
        except BrokenProcessPool:
            self.pool = self._new_pool(self.processors)
            self._send(self.pool, job, again=True)
        return self._taskid

    def _send(self, pool: ProcessPoolExecutor, job: tuple[Node, bool, int], *, again: bool) -> None:
        future = pool.submit(run_node, *job)
        self._task_obj[job[2]] = future
        future.add_done_callback(lambda ended: self._ended(ended, job, again=again))

    def _ended(self, future: Future[dict[str, Any]], job: tuple[Node, bool, int], *, again: bool) -> None:
        """Hand on what came of a node; whatever happens, or Nipype waits for it for ever."""
        node, _, task = job
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._taskresult[task] = future.result()
            return
        if again and isinstance(error, BrokenProcessPool):
            error = self._try_alone(job)
            if error is None:
                return
        try:
            if isinstance(error, BrokenProcessPool):
                _leave_word(node)
        finally:
            self._taskresult[task] = {"taskid": task, "result": None, "traceback": [f"{node.fullname}: {error}"]}

    def _try_alone(self, job: tuple[Node, bool, int]) -> BaseException | None:
        """Start a node once more in a process of its own, or return why that cannot be."""
        try:
            pool = self._new_pool(1)
            self._send(pool, job, again=False)
            pool.shutdown(wait=False)  # once it has done this
        except OSError as error:  # no memory for another process
            return error
        return None

    def _new_pool(self, size: int) -> ProcessPoolExecutor:
        context = get_context(self.plugin_args["mp_context"])
        return ProcessPoolExecutor(size, context, process_initializer, (self._cwd,))


def _leave_word(node: Node) -> None:
    """Leave beside a node's results what its process could not say any more."""
    folder = Path(node.output_dir())
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "message": f"{node.fullname.split('.', 1)[-1]}: its process was killed, twice: memory has likely run out",
        "hint": f"give more memory than --mem says, or fewer --nprocs; this step declares {node.mem_gb:g} GB",
        "exit_code": int(ExitCode.VISIT_FAILED),
    }
    (folder / ERROR_FILE).write_text(json.dumps(said), encoding="utf-8")
