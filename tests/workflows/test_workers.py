"""A run whose worker processes are killed, as the system does when memory runs out."""

import signal

import pytest
from nipype.interfaces.utility import Function
from nipype.pipeline.engine import Node, Workflow

from bidsapp.resources import Grant
from bidsapp.workflows import workers
from bidsapp.workflows.execution import execute
from bidsapp.workflows.workers import Workers


def work(times, file, number):
    """Kill the own process a number of times, which a file counts, and return what comes of that."""
    import os
    import time
    from pathlib import Path

    time.sleep(0.2)
    with Path(file).open("a+") as counter:
        counter.write("x")
    if Path(file).stat().st_size <= times:
        os.kill(os.getpid(), number)
    return times


@pytest.fixture
def run(tmp_path):
    """Return a function that runs three visits of two steps; the first step of one is killed some times."""

    def run(times, number=signal.SIGKILL):
        workflow = Workflow("participant", base_dir=str(tmp_path / "work"))
        for name in ("sub_01", "sub_02", "sub_03"):
            visit = Workflow(name)
            first, second = (
                Node(Function(["times", "file", "number"], ["out"], work), name=n, mem_gb=0.1) for n in "ab"
            )
            first.inputs.times = times if name == "sub_01" else 0
            for node in (first, second):
                node.inputs.number = int(number)
                node.inputs.file = str(tmp_path / f"{name}_{node.name}")
            visit.connect(first, "out", second, "times")
            second.inputs.times = 0
            workflow.add_nodes([visit])
        return execute(workflow, Grant(2, 4.0, 0, ()), tmp_path)

    return run


OTHERS = {f"participant.{visit}.{node}" for visit in ("sub_02", "sub_03") for node in "ab"}


def test_a_process_that_is_killed_again_costs_its_own_visit_only(run):
    outcome = run(times=9)
    assert outcome.finished == OTHERS
    (failure,) = outcome.failures
    assert failure.node == "participant.sub_01.a"
    assert failure.message == "its process was killed, twice: memory has likely run out"
    assert "lower --nprocs" in failure.hint
    assert "this step declares 0.1 GB" in failure.hint


def test_what_the_system_counts_as_killed_for_memory_is_said(run, monkeypatch):
    counted = iter((3, 5))
    monkeypatch.setattr(workers, "memory_kills", lambda: next(counted))
    (failure,) = run(times=9).failures
    assert failure.message.endswith("memory ran out (the system counted 2 kills for it)")


def test_a_crash_of_a_library_is_not_taken_for_lack_of_memory(run):
    (failure,) = run(times=9, number=signal.SIGSEGV).failures
    assert failure.message == "its process ended by SIGSEGV, twice"
    assert "memory" not in failure.hint


def test_a_process_that_was_killed_once_is_tried_again(run):
    outcome = run(times=1)
    assert outcome.failures == []
    assert outcome.finished == {*OTHERS, "participant.sub_01.a", "participant.sub_01.b"}


def test_nothing_is_tried_again_once_the_run_was_stopped():
    workers = Workers({"n_procs": 1, "memory_gb": 1.0, "mp_context": "forkserver"})
    workers.stop()
    assert workers._try_alone((Node(Function(function=work), name="a"), False, 1)) is None
    assert len(workers.pools) == 1


def test_where_there_is_no_memory_for_a_second_try_the_run_ends_all_the_same(run, monkeypatch):
    make = Workers._new_pool

    def scarce(workers, size):
        if size == 1:
            raise OSError("no memory for another process")
        return make(workers, size)

    monkeypatch.setattr(Workers, "_new_pool", scarce)
    outcome = run(times=9)
    failed = {failure.node for failure in outcome.failures}
    assert "participant.sub_01.a" in failed
    assert {f"participant.sub_0{number}.a" for number in (1, 2, 3)} <= failed | outcome.finished
