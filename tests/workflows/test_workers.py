"""A run whose worker processes are killed, as the system does when memory runs out."""

import pytest
from nipype.interfaces.utility import Function
from nipype.pipeline.engine import Node, Workflow

from bidsapp.resources import Grant
from bidsapp.workflows.execution import execute
from bidsapp.workflows.workers import Workers


def work(times, file):
    """Kill the own process a number of times, which a file counts, and return what comes of that."""
    import os
    import signal
    import time
    from pathlib import Path

    time.sleep(0.2)
    with Path(file).open("a+") as counter:
        counter.write("x")
    if Path(file).stat().st_size <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return times


@pytest.fixture
def run(tmp_path):
    """Return a function that runs three visits of two steps; the first step of one is killed some times."""

    def run(times):
        workflow = Workflow("participant", base_dir=str(tmp_path / "work"))
        for name in ("sub_01", "sub_02", "sub_03"):
            visit = Workflow(name)
            first, second = (Node(Function(["times", "file"], ["out"], work), name=n, mem_gb=0.1) for n in "ab")
            first.inputs.times = times if name == "sub_01" else 0
            for node in (first, second):
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
    assert "sub_01.a: its process was killed" in failure.message
    assert "memory" in failure.hint


def test_a_process_that_was_killed_once_is_tried_again(run):
    outcome = run(times=1)
    assert outcome.failures == []
    assert outcome.finished == {*OTHERS, "participant.sub_01.a", "participant.sub_01.b"}


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
