"""What ties worker processes to the run: none outlives it, and none is left behind when it is interrupted."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from multiprocessing import forkserver, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import TYPE_CHECKING

from nipype.pipeline.plugins.multiproc import process_initializer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.process import BaseProcess

# prctl(2): the signal to get when the parent dies.
PR_SET_PDEATHSIG = 1
GOING_SECONDS = 2.0


def attach(folder: str) -> None:
    """Prepare a worker process, in which this is called first.

    It leaves Ctrl-C to the process that started the run, heads a group of its own processes, and ends with the run
    even where that is killed: otherwise it would wait for work for ever, or write beside the next run.

    Parameters
    ----------
    folder : str
        The folder that the run was started in.
    """
    process_initializer(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.setpgid(0, 0)
    _let_server_go()
    if sys.platform == "linux":
        # At once, also while ANTs keeps Python from running. The parent is a server that ends with the run.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    Thread(target=_end_with_parent, daemon=True).start()


def _let_server_go() -> None:
    """Close what keeps the server of processes alive; Python hands it to each, and the run alone is to have it."""
    server = forkserver._forkserver  # type: ignore[attr-defined]
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = None


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(os.getpgrp(), signal.SIGKILL)


def kill(processes: Sequence[BaseProcess]) -> None:
    """End worker processes, also in the middle of a step, and what they started; wait until they are gone."""
    for process in processes:
        with suppress(ProcessLookupError, TypeError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()  # where it has no group yet
    for process in processes:
        wait([process.sentinel], GOING_SECONDS)
