"""A graph of small steps as jobs: what finished, what failed, and what never had its turn."""

import os
import subprocess
from pathlib import Path

import pytest
from nipype.interfaces.utility import Function
from nipype.pipeline.engine import Node, Workflow

from bidsapp.resources import Grant
from bidsapp.workflows.execution import execute
from bidsapp.workflows.plugins import Plugin

pytestmark = pytest.mark.slow


def work(given, fate):
    """Return, raise or be killed."""
    import os
    import signal

    if fate == "raise":
        raise ValueError("this step was to fail")
    if fate == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{given}+"


@pytest.fixture
def run(cluster, tmp_path, monkeypatch):
    """Return a function that runs three visits of two steps; the first step of two of them does not end well."""
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, cluster[name])
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    )

    def run(plugin, **options):
        workflow = Workflow("participant", base_dir=str(tmp_path / "work"))
        for name, fate in (("sub_01", "end"), ("sub_02", "raise"), ("sub_03", "kill")):
            visit = Workflow(name)
            first, second = (Node(Function(["given", "fate"], ["out"], work), name=n, mem_gb=0.5) for n in "ab")
            first.inputs.given, first.inputs.fate, second.inputs.fate = name, fate, "end"
            visit.connect(first, "out", second, "given")
            workflow.add_nodes([visit])
        return execute(workflow, Grant(1, 1.0, 0, ()), tmp_path, plugin=Plugin(plugin), **options)

    return run


@pytest.mark.parametrize("plugin", ["SLURM", "SLURMGraph"])
def test_what_becomes_of_steps(run, plugin):
    for _ in range(2):
        outcome = run(plugin)
        assert outcome.finished == {"participant.sub_01.a", "participant.sub_01.b"}
        assert sorted(failure.node for failure in outcome.failures) == [
            "participant.sub_02.a",
            "participant.sub_03.a",
        ]
        assert {failure.message for failure in outcome.failures} == {"it ended without a word"}


@pytest.mark.parametrize(
    ("plugin", "sleeper"),
    [("SLURM", "nipype.pipeline.plugins.base.sleep"), ("SLURMGraph", "bidsapp.workflows.batch.time.sleep")],
)
def test_who_is_interrupted_takes_jobs_back(run, cluster, monkeypatch, plugin, sleeper):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sleeper, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(plugin)
    monkeypatch.undo()
    queue = ["squeue", "--noheader", "--states=PENDING,RUNNING", "--format=%i"]
    assert subprocess.run(queue, env=cluster, capture_output=True, text=True, check=True).stdout == ""
