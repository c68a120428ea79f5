"""Running a graph on this computer: what its workers inherit, what is kept, and what became of each node."""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp.bids.sink import write_text
from bidsapp.console import progress_bar
from bidsapp.errors import AppError
from bidsapp.imaging.itk import DETERMINISTIC_ENVIRONMENT
from bidsapp.interfaces.base import read_word
from bidsapp.interfaces.usage import read_peak
from bidsapp.workflows.nodes import crash_name
from bidsapp.workflows.plugins import LIMITS, Plugin
from bidsapp.workflows.turns import Turns, visit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nipype.pipeline.engine import Node, Workflow
    from nipype.pipeline.plugins.base import PluginBase

    from bidsapp.errors import ExitCode
    from bidsapp.resources import Grant

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why a node failed.

    Attributes
    ----------
    node : str
        Its full name, ``participant.sub_01.T1w_wf.brain``.
    message, hint : str
        Those of the `AppError` that ended it; of another error, what it means to a person.
    exit_code : ExitCode
        What it means for the run.
    crash_file : str
        Where its traceback is.
    """

    node: str
    message: str
    hint: str
    exit_code: ExitCode
    crash_file: str = ""


@dataclass
class Outcome:
    """What became of the nodes of a run; a node that is in neither list never had its turn.

    Attributes
    ----------
    finished : set of str
        Full names of the nodes that ended well, now or in an earlier run.
    failures : list of Failure
        In the order in which they came.
    seconds : dict of str to float
        Wall time of each node that ran now.
    peak_gb : dict of str to float
        The most memory that it held, GB.
    """

    finished: set[str] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_gb: dict[str, float] = field(default_factory=dict)


def execute(
    workflow: Workflow,
    grant: Grant,
    log_dir: Path,
    *,
    stop_on_first_crash: bool = False,
    plugin: Plugin | None = None,
    title: str = "",
    on_visit: Callable[[str, Outcome], None] = lambda *_: None,
) -> Outcome:
    """Run a graph in processes of this computer, or as jobs; a failing node costs only what depends on it.

    Parameters
    ----------
    workflow : Workflow
        Has a base folder.
    grant : Grant
        How many nodes run at a time, and in how much memory.
    log_dir : Path
        Crash files go here.
    stop_on_first_crash : bool
        Start no further node once one has failed.
    plugin : Plugin or None
        How nodes are run; by default in processes of this computer.
    title : str
        Stands before the progress bar; by default the graph's name.
    on_visit : callable
        Is given the name of a visit's graph once no node of it is left to run, and the outcome so far.

    Returns
    -------
    Outcome
    """
    from bidsapp.workflows.workers import Workers

    plugin = plugin or Plugin()
    configure(workflow, log_dir, stop_on_first_crash=stop_on_first_crash)
    outcome = Outcome()
    turns = Turns(workflow)
    steps = turns.nodes
    late: list[Exception] = []
    with (
        _worker_environment(Path(workflow.base_dir) / "nipype"),
        progress_bar(title or workflow.name, total=steps) as update,
    ):
        follow = _follower(outcome, log_dir, update, turns, _kept_back(on_visit, late))
        runner = _runner(plugin, workflow, grant, follow)
        try:
            workflow.run(plugin=runner)
        except RuntimeError:
            if not outcome.failures:
                raise
            if stop_on_first_crash and isinstance(runner, Workers):
                runner.stop()  # what is under way would still write after its visit was recorded
        except BaseException as error:
            if isinstance(runner, Workers):  # a batch system's takes its jobs back by itself
                runner.stop()
            if not isinstance(error, Exception):  # interrupted
                log.warning("%d of %d steps are done and kept", len(outcome.finished), steps)
            raise
    if late:
        raise late[0]
    return outcome


def _kept_back(on_visit: Callable[[str, Outcome], None], late: list[Exception]) -> Callable[[str, Outcome], None]:
    """Return `on_visit` without its errors, which Nipype would take for those of a node; they go into `late`."""

    def tell(visit: str, outcome: Outcome) -> None:
        try:
            on_visit(visit, outcome)
        except Exception as error:  # raised again when the graph has ended
            log.exception("%s could not be recorded", visit)
            late.append(error)

    return tell


def _follower(
    outcome: Outcome,
    log_dir: Path,
    update: Callable[[float, str], None],
    turns: Turns,
    on_visit: Callable[[str, Outcome], None],
) -> Callable[[Node, str], None]:
    """Return what Nipype calls when a node starts, ends or fails; a cached node only ends."""
    started: dict[str, float] = {}

    def follow(node: Node, status: str) -> None:
        name = node.fullname
        if status == "start":
            started[name] = time.monotonic()
            return
        if name in started:
            outcome.seconds[name] = time.monotonic() - started[name]
            outcome.peak_gb[name] = read_peak(Path(node.output_dir()))
        if status == "end":
            outcome.finished.add(name)
        else:
            failure = _failure(node, log_dir)
            outcome.failures.append(failure)
            log.info("%s failed: %s", name, failure.message)
        update(len(outcome.finished), name.partition(".")[2])
        if turns.count(name, failed=status != "end"):
            on_visit(visit_of(name), outcome)

    return follow


def _failure(node: Node, log_dir: Path) -> Failure:
    """Return what a failed node left to say."""
    error = read_word(Path(node.output_dir()))
    if error is None:
        error = AppError("it ended without a word", "look at the traceback, and report it")
    crash_file = str(log_dir / crash_name(node.fullname))
    return Failure(node.fullname, error.message, error.hint, error.exit_code, crash_file)


def configure(workflow: Workflow, log_dir: Path, *, stop_on_first_crash: bool) -> None:
    """Set what Nipype is to keep, how it knows a finished step, and where its messages go."""
    from nipype import config
    from nipype import logging as nipype_logging

    workflow.config["execution"] = {
        "crashdump_dir": str(log_dir.absolute()),
        "crashfile_format": "txt",
        "stop_on_first_crash": str(stop_on_first_crash).lower(),
        "remove_unnecessary_outputs": "false",  # a second run finds what the first one made
        "hash_method": "timestamp",
        "create_report": "false",  # a page for each node, which nobody reads
        "poll_sleep_duration": "0.1",
    }
    config.update_config({"logging": {"workflow_level": "INFO", "interface_level": "INFO"}})
    nipype_logging.update_logging(config)
    for name in ("nipype", "nipype.workflow", "nipype.interface", "nipype.utils"):
        logger = logging.getLogger(name)  # its messages go to the log file, not to the console
        logger.handlers = []
        logger.propagate = True


def _runner(plugin: Plugin, workflow: Workflow, grant: Grant, follow: Callable[[Node, str], None]) -> PluginBase:
    """Return what runs the nodes: our workers, or Nipype's plugin of a batch system."""
    if not plugin.is_local:
        from bidsapp.workflows.batch import POLL, ask_for, batch_plugin

        workflow.config["execution"] |= {"poll_sleep_duration": str(POLL), "job_finished_timeout": "30"}
        ask_for(workflow._get_all_nodes(), plugin)
        return batch_plugin(plugin, follow)
    from bidsapp.workflows.workers import Workers

    if unused := sorted(set(plugin.args) - set(LIMITS)):
        log.warning("--use-plugin: %s mean nothing to %s here", ", ".join(unused), plugin.name)
    cpus = min(grant.cpus, max(1, int(plugin.args.get("n_procs", grant.cpus))))
    memory = min(grant.memory_gb, plugin.args.get("memory_gb", grant.memory_gb))
    return Workers(_plugin_args(replace(grant, cpus=cpus, memory_gb=memory), follow))


def _plugin_args(grant: Grant, follow: Callable[[Node, str], None]) -> dict[str, Any]:
    return {
        "n_procs": grant.cpus,
        "memory_gb": grant.memory_gb,
        "raise_insufficient": False,
        "mp_context": "forkserver",  # a forked child would inherit locks and threads of what was imported here
        "status_callback": follow,
    }


@contextmanager
def _worker_environment(nipype_folder: Path) -> Iterator[None]:
    """Set what worker processes inherit: one thread each, ANTs' seed, and a Nipype that leaves words to us."""
    write_text("[logging]\nworkflow_level = ERROR\ninterface_level = ERROR\n", nipype_folder / "nipype.cfg")
    wanted = {
        **DETERMINISTIC_ENVIRONMENT,
        "OMP_NUM_THREADS": "1",
        "NIPYPE_NO_ET": "1",
        "NIPYPE_CONFIG_DIR": str(nipype_folder.absolute()),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
