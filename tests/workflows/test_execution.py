"""A run of a graph: what finished, what failed and why, and what a second run costs."""

import os
from unittest.mock import ANY

import nibabel as nib
import numpy as np
import pytest
from nipype.pipeline.engine import Node, Workflow

from bidsapp.errors import ExitCode
from bidsapp.interfaces.align import Normalize
from bidsapp.interfaces.scan import CheckHeader
from bidsapp.resources import Grant
from bidsapp.workflows.cache import cached_nodes
from bidsapp.workflows.execution import execute
from bidsapp.workflows.workers import Workers


@pytest.fixture
def graph(tmp_path):
    """Return a function that builds two scans' paths: a good one, and one cut short with a node behind it."""
    ball = np.random.default_rng(0).normal(100, 10, (30, 30, 30)).astype(np.float32)
    nib.save(nib.Nifti1Image(ball, np.eye(4) * [3, 3, 3, 1]), tmp_path / "good.nii")
    nib.save(nib.Nifti1Image((ball > 90).astype(np.uint8), np.eye(4) * [3, 3, 3, 1]), tmp_path / "mask.nii")
    (tmp_path / "bad.nii").write_bytes((tmp_path / "good.nii").read_bytes()[:4000])

    def build():
        run = Workflow("participant", base_dir=str(tmp_path / "work"))
        for name in ("good", "bad"):
            path = Workflow(name)
            header = Node(CheckHeader(in_file=str(tmp_path / f"{name}.nii")), name="header", mem_gb=0.5)
            after = Node(Normalize(mask=str(tmp_path / "mask.nii")), name="normalize", mem_gb=0.5)
            path.connect(header, "out_file", after, "in_file")
            run.add_nodes([path])
        return run

    return build


def test_a_failure_costs_what_depends_on_it_and_a_second_run_nothing(graph, tmp_path):
    before = dict(os.environ)
    logs = tmp_path / "logs"
    logs.mkdir()
    first, second = (execute(graph(), Grant(2, 4.0, 0, ()), logs) for _ in range(2))
    done = {"participant.good.header", "participant.good.normalize"}
    for outcome in (first, second):
        assert outcome.finished == done
        (failure,) = outcome.failures
        assert failure.node == "participant.bad.header"
        assert failure.message.startswith(str(tmp_path / "bad.nii"))
        assert failure.exit_code == ExitCode.BAD_DATA
        assert failure.hint
    assert set(first.seconds) == {*done, "participant.bad.header"}
    assert set(second.seconds) == {"participant.bad.header"}  # what failed is tried again, what was done is kept
    (crash,) = logs.glob("crash-*.txt")
    assert failure.crash_file == str(crash)
    said = crash.read_text()
    assert said.startswith(failure.message)
    assert "Traceback" in said
    assert dict(os.environ) == before


def test_what_a_work_folder_lost_is_done_again_also_where_that_was_moved(graph, tmp_path):
    def at(folder):
        workflow = graph()
        workflow.base_dir = str(tmp_path / folder)
        return workflow

    execute(at("work"), Grant(2, 4.0, 0, ()), tmp_path)
    (tmp_path / "work").rename(tmp_path / "moved")  # results name files of a folder that is gone
    assert cached_nodes(at("moved"))[1] == set()
    outcome = execute(at("moved"), Grant(2, 4.0, 0, ()), tmp_path)
    done = {"participant.good.header", "participant.good.normalize"}
    assert outcome.finished == done
    assert set(outcome.seconds) == {*done, "participant.bad.header"}
    assert cached_nodes(at("moved"))[1] == done
    for name, left in (("normalize/normalized", {"participant.good.header"}), ("header/checked", set())):
        (tmp_path / f"moved/participant/good/{name}.nii").unlink()
        assert cached_nodes(at("moved"))[1] == left


def test_a_visit_ends_when_nothing_of_it_can_run_any_more_and_its_memory_is_measured(graph, tmp_path):
    ended = []
    outcome = execute(
        graph(),
        Grant(1, 4.0, 0, ()),
        tmp_path,
        on_visit=lambda name, so_far: ended.append((name, len(so_far.finished), len(so_far.failures))),
    )
    assert {name: counts for name, *counts in ended} == {
        "bad": [ANY, 1],
        "good": [2, ANY],
    }  # normalize is not waited for
    assert len(ended) == 2
    assert set(outcome.peak_gb) == set(outcome.seconds)
    assert all(0.05 < peak < 2 for peak in outcome.peak_gb.values())


def test_what_cannot_be_recorded_ends_the_run_after_the_others(graph, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        execute(graph(), Grant(2, 4.0, 0, ()), tmp_path, on_visit=full)


def test_an_unexpected_error_is_told_by_its_last_line(tmp_path, graph):
    workflow = graph()
    (tmp_path / "gone.nii").write_text("no image")
    workflow.get_node("good.normalize").inputs.mask = str(tmp_path / "gone.nii")
    outcome = execute(workflow, Grant(1, 4.0, 0, ()), tmp_path)
    (failure,) = [failure for failure in outcome.failures if "normalize" in failure.node]
    assert failure.message.startswith("unexpected ")
    assert failure.exit_code == ExitCode.VISIT_FAILED
    assert failure.crash_file.endswith("crash-good.normalize.txt")


def test_a_run_stops_where_it_is_asked_to(graph, tmp_path, monkeypatch):
    stop, alive = Workers.stop, []

    def watched(workers):
        processes = [process for pool in workers.pools for process in pool._processes.values()]
        stop(workers)
        alive.extend(process.is_alive() for process in processes)

    monkeypatch.setattr(Workers, "stop", watched)
    outcome = execute(graph(), Grant(1, 4.0, 0, ()), tmp_path, stop_on_first_crash=True)
    assert [failure.node for failure in outcome.failures] == ["participant.bad.header"]
    assert "participant.good.normalize" not in outcome.finished
    assert alive == [False]  # or it would write after its visit was recorded
