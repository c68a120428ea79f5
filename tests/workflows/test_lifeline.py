"""No worker process outlives the run that it works for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bidsapp.errors import ExitCode
from bidsapp.workflows.workers import no_room

RUN = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from bidsapp.workflows.lifeline import attach, kill

def hold(seconds):
    import ctypes, os, subprocess
    child = subprocess.Popen(["sleep", "100"])
    print(os.getpid(), child.pid, flush=True)
    ctypes.PyDLL(None).sleep(seconds)  # holds Python back, as ANTs does

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, get_context("forkserver"), attach, (os.getcwd(),))
    pool.submit(hold, 100)
    if sys.argv[1] == "stop":
        sys.stdin.readline()
        kill(list(pool._processes.values()))
        print("gone", flush=True)
    time.sleep(100)
"""


def gone(number):
    for _ in range(300):
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def start(tmp_path, *words):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, script, *words]
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return run, *map(int, run.stdout.readline().split())


@pytest.mark.slow
def test_a_worker_ends_with_a_run_that_was_killed_also_within_a_library(tmp_path):
    run, worker, child = start(tmp_path, "hold")
    run.kill()
    run.wait()
    assert gone(worker)
    os.kill(child, signal.SIGKILL)  # a program that a step started holds nothing of ours


@pytest.mark.slow
def test_killing_takes_what_a_step_started_along(tmp_path):
    run, worker, child = start(tmp_path, "stop")
    run.stdin.write("\n")
    run.stdin.flush()
    assert run.stdout.readline() == "gone\n"
    assert gone(worker)
    assert gone(child)
    run.kill()
    run.wait()


class Step:
    def __init__(self, folder):
        self.base_dir = str(folder)


def test_a_full_disk_is_told_from_other_failures(tmp_path, monkeypatch):
    said = ["Traceback …", "OSError: [Errno 28] No space left on device: '/out/sub-01/x.nii.gz'\n"]
    error = no_room(Step(tmp_path), {"traceback": said})
    assert (error.errno, error.filename) == (28, "/out/sub-01/x.nii.gz")
    error = no_room(Step(tmp_path), {"traceback": ["OSError: [Errno 122] Disk quota exceeded\n"]})
    assert (error.errno, error.filename) == (122, str(tmp_path))
    assert no_room(Step(tmp_path), {"traceback": ["ValueError: no\n"]}) is None
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
    assert no_room(Step(tmp_path), {"traceback": ["RuntimeError: itk::ERROR\n"]}).errno == 28
    assert ExitCode.IO == 74
