"""Worker processes of a graph, one of which may be killed without taking the run with it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from nipype.pipeline.plugins.multiproc import MultiProcPlugin, run_node
from nipype.utils.filemanip import crash2txt

from bidsapp.errors import MEMORY_HINT, NO_ROOM, AppError
from bidsapp.interfaces.base import leave_word, read_word
from bidsapp.resources import memory_kills
from bidsapp.workflows.cache import forget_gutted
from bidsapp.workflows.lifeline import attach, kill
from bidsapp.workflows.nodes import crash_name

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from nipype.pipeline.engine import Node


# Less than any image takes.
SCANT_BYTES = 1 << 16


class Workers(MultiProcPlugin):
    """Nipype's MultiProc plugin, which alone would wait for ever for a process that the system killed.

    A pool that loses a process fails all nodes that were under way, and does not say whose process it was. Each of
    them is therefore tried once more, in a process of its own; the one that is killed again has failed.
    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        super().__init__(plugin_args=plugin_args)
        self._kills_before = memory_kills()
        self._alone: dict[int, BaseProcess] = {}
        self.pools: list[ProcessPoolExecutor] = []
        self.stopped = False
        self._starting = Lock()
        self.pool = self._new_pool(self.processors)  # in place of Nipype's, which has started no process yet

    def stop(self) -> None:
        """End all processes, also in the middle of a step."""
        self.stopped = True
        with self._starting:
            pools = list(self.pools)
        for pool in pools:
            kill(list((pool._processes or {}).values()))
            pool.shutdown(wait=False, cancel_futures=True)

    def _local_hash_check(self, jobid: int, graph: Any) -> bool:
        forget_gutted(self.procs[jobid])
        return bool(super()._local_hash_check(jobid, graph))

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
        if future.cancelled() or self.stopped:
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
                process = self._alone.get(task)
                kills = None if self._kills_before is None else (memory_kills() or 0) - self._kills_before
                _say_killed(node, process and process.exitcode, kills or 0)
        finally:
            self._taskresult[task] = {"taskid": task, "result": None, "traceback": [f"{node.fullname}: {error}"]}

    def _try_alone(self, job: tuple[Node, bool, int]) -> BaseException | None:
        """Start a node once more in a process of its own, or return why that cannot be.

        A signal to all processes of the run breaks the pool, too, maybe before this process hears of it.
        """
        try:
            with self._starting:
                if self.stopped:
                    return None
                pool = self._new_pool(1)
                self._send(pool, job, again=False)
                (self._alone[job[2]],) = pool._processes.values()
                pool.shutdown(wait=False)  # once it has done this
        except OSError as error:  # no memory for another process
            return error
        return None

    def _report_crash(self, node: Node, result: dict[str, Any] | None = None) -> str:
        """Do as `report_crash`; where there is no room for any file the run ends, for all steps would fail."""
        if error := no_room(node, result):
            raise error
        return report_crash(node, result)

    def _new_pool(self, size: int) -> ProcessPoolExecutor:
        context = get_context(self.plugin_args["mp_context"])
        pool = ProcessPoolExecutor(size, context, attach, (self._cwd,))
        self.pools.append(pool)
        return pool


def report_crash(node: Node, result: dict[str, Any] | None = None) -> str:
    """Write the traceback of a failed node to a file whose name tells visit and step, after what it means."""
    traceback = (result or {}).get("traceback") or ["no traceback"]
    file = Path(node.config["execution"]["crashdump_dir"]) / crash_name(node.fullname)
    crash2txt(file, {"node": node, "traceback": traceback})
    if word := read_word(Path(node.output_dir())):
        file.write_text(f"{word}\n\n{file.read_text(encoding='utf-8')}", encoding="utf-8")
    return str(file)


def no_room(node: Node, result: dict[str, Any] | None) -> OSError | None:
    """Return the error that says so where a step failed because nothing can be written any more, else ``None``."""
    last = "".join((result or {}).get("traceback") or "")[-2000:]
    folder = Path(node.base_dir)
    for number in NO_ROOM:
        if f"[Errno {number}]" in last:
            named = re.findall(rf"\[Errno {number}\][^:\n]*: '([^'\n]+)'", last)
            return OSError(number, os.strerror(number), named[-1] if named else str(folder))
    if shutil.disk_usage(folder).free < SCANT_BYTES:  # libraries say it in words of their own
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    return None


def _say_killed(node: Node, status: int | None, kills: int) -> None:
    """Leave beside a node's results what its process could not say any more."""
    if status is not None and status < 0 and status != -signal.SIGKILL:
        what = f"its process ended by {signal.Signals(-status).name}, twice"
        hint = "a library crashed, maybe on a damaged file: look at the scan, and report it"
    elif kills:
        what = f"its process was killed, twice: memory ran out (the system counted {kills} kills for it)"
        hint = f"{MEMORY_HINT}; this step declares {node.mem_gb:g} GB"
    else:
        what = "its process was killed, twice: memory has likely run out"
        hint = f"{MEMORY_HINT}; this step declares {node.mem_gb:g} GB"
    leave_word(Path(node.output_dir()), AppError(what, hint))
