"""What --use-plugin takes, and what becomes of it."""

import json
import os

import pytest
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from bidsapp.errors import AppError, NoInputError, UsageError
from bidsapp.resources import Grant
from bidsapp.workflows import batch
from bidsapp.workflows.execution import _runner
from bidsapp.workflows.plugins import Plugin, read_plugin


@pytest.fixture
def written(tmp_path):
    def written(content):
        file = tmp_path / "plugin.yml"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(file)

    return written


@pytest.fixture
def graph(tmp_path):
    workflow = Workflow("participant", base_dir=str(tmp_path))
    workflow.add_nodes([Node(IdentityInterface(["a"]), name="brain", mem_gb=1.6)])
    workflow.config["execution"] = {}
    return workflow


def test_a_name_yaml_and_json_say_the_same(written):
    assert read_plugin(None) == Plugin("MultiProc", {})
    assert read_plugin("SLURM") == read_plugin(written("plugin: SLURM")) == Plugin("SLURM", {})
    args = {"sbatch_args": "-p long", "max_jobs": 50}
    yaml = "plugin: SLURM\nplugin_args:\n  sbatch_args: -p long\n  max_jobs: 50\n"
    assert read_plugin(written(yaml)) == read_plugin(written({"plugin": "SLURM", "plugin_args": args}))
    assert read_plugin(written(yaml)).args == args


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("plugin: SGEGraph", "cannot be waited for"),  # it submits and returns, and nobody knows what failed
        ("plugin: Slurm", "unknown"),
        ("plugin: [SLURM]", "no plugin with plugin_args"),
        ("plugin: SLURM\nplugin_args: 3", "no plugin with plugin_args"),
        ("plugin: SLURM\nargs: {}", "unknown args"),
        ("just words", "no plugin with plugin_args"),
        ("plugin: [", "no YAML"),
        ("plugin: !!python/object/apply:os.system [true]", "no YAML"),
        ("plugin: MultiProc\nplugin_args: {n_proc: 3}", "has no n_proc"),
        ("plugin: MultiProc\nplugin_args: {n_procs: many}", "no positive number"),
    ],
)
def test_what_cannot_be_used_is_named(written, content, said):
    with pytest.raises(UsageError, match=said):
        read_plugin(written(content))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(NoInputError, match=r"no\.yml"):
        read_plugin(str(tmp_path / "no.yml"))


def test_multiproc_is_our_workers_within_what_was_granted(graph):
    plugin = Plugin("LegacyMultiProc", {"n_procs": 3, "memory_gb": 64, "maxtasksperchild": 1})
    runner = _runner(plugin, graph, Grant(8, 16.0, 0, ()), None)
    assert type(runner).__name__ == "Workers"
    assert (runner.processors, runner.memory_gb) == (3, 16.0)
    runner.pool.shutdown()


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        ({}, " --mem=1600M --cpus-per-task=1"),
        ({"sbatch_args": "-p long --mem=8G"}, " --cpus-per-task=1"),
        ({"sbatch_args": "--mem-per-cpu=4G -c 2"}, " "),
    ],
)
def test_slurm_is_asked_for_what_a_step_declares_unless_the_user_said_how_much(graph, args, asked):
    batch.ask_for(graph._get_all_nodes(), Plugin("SLURM", args))
    assert graph.get_node("brain").plugin_args == {"sbatch_args": asked}


@pytest.mark.parametrize("name", ["SLURM", "PBS", "LSF", "OAR", "Condor"])
def test_nipypes_plugins_of_batch_systems_are_there(name, monkeypatch):
    monkeypatch.delenv("LOGNAME", raising=False)
    followed = batch.batch_plugin(Plugin(name, {"max_jobs": 7}), print)
    assert (followed.max_jobs, followed._status_callback) == (7, print)
    assert os.environ["LOGNAME"]  # Nipype names jobs by it


def test_a_result_of_an_earlier_run_is_not_believed(graph, monkeypatch):
    node = graph.get_node("brain")
    node.base_dir, node.config = graph.base_dir, {"execution": {"matplotlib_backend": "Agg"}}
    (folder := batch._error_of(node).parent).mkdir(parents=True)
    for name in ("result_brain.pklz", "error.json", "kept.txt"):
        (folder / name).touch()
    plugin = batch.batch_plugin(Plugin("SLURM"), None)
    monkeypatch.setattr(plugin, "_submit_batchtask", lambda *_: 5)
    assert plugin._submit_job(node) == 5
    assert [path.name for path in folder.iterdir()] == ["kept.txt"]


def test_a_cluster_that_does_not_answer_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AppError, match=r"sbatch: .*No such file") as raised:
        batch._said(["sbatch"])
    assert raised.value.exit_code == 75
