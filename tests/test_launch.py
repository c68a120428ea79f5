"""Which process of a training this is, and who starts the others."""

import os
import sys

import pytest

from bidsapp import launch
from bidsapp.errors import AppError
from bidsapp.launch import Place, find_place, follows, others_started

TORCHRUN = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
SRUN = {
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_NNODES": "2",
    "SLURM_NTASKS_PER_NODE": "2",
}


def test_launchers_say_which_process_this_is():
    assert find_place(TORCHRUN) == Place("torchrun", 5, 4, 2)
    assert find_place({**SRUN, **TORCHRUN}) == Place("torchrun", 5, 4, 2)  # torchrun within a job
    assert find_place(SRUN) == Place("srun", 0, 2, 2)
    assert find_place({**SRUN, "SLURM_NTASKS": "1"}) is None
    assert find_place({name: value for name, value in SRUN.items() if name != "SLURM_STEP_ID"}) is None  # a script
    assert find_place({"RANK": "0"}) is None
    assert find_place({}) is None


def test_all_but_the_first_follow_and_nobody_where_one_process_was_asked_for():
    assert follows(8, TORCHRUN)
    assert not follows(8, {**TORCHRUN, "RANK": "0"})
    assert not follows(4, SRUN)
    assert follows(4, {**SRUN, "SLURM_PROCID": "3"})
    assert not follows(1, {**SRUN, "SLURM_PROCID": "3"})
    assert not follows(2, {})


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Return a function that lets a script, given a file of settings, take the place of this program."""

    def program(text):
        script = tmp_path / "script"
        script.write_text(f"#!{sys.executable}\n{text}")
        script.chmod(0o755)
        monkeypatch.setattr(launch.sys, "executable", str(script))

    return program


def test_the_others_are_started_with_the_same_settings(program, tmp_path):
    program(
        "import os, sys, pathlib\n"
        "content = pathlib.Path(sys.argv[-1]).read_text()\n"
        f"pathlib.Path({str(tmp_path)!r}, os.environ['RANK']).write_text(content + os.environ['WORLD_SIZE'])\n"
    )
    before = dict(os.environ)
    with others_started("seed = ", 3):
        assert find_place() == Place("torchrun", 0, 3, 1)
    assert dict(os.environ) == before
    assert [(tmp_path / rank).read_text() for rank in "12"] == ["seed = 3", "seed = 3"]


def test_one_that_ended_is_why_the_run_cannot_go_on(program):
    program("import sys\nsys.exit(3)\n")
    with pytest.raises(AppError, match="process 1 of 2 ended with status 3"), others_started("", 2):
        raise RuntimeError("connection closed by peer")


def test_none_is_left_behind_by_an_error(program, monkeypatch):
    program("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(launch, "LOSING", 0.1)
    started, popen = [], launch.subprocess.Popen
    monkeypatch.setattr(launch.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    with pytest.raises(RuntimeError, match="ours"), others_started("", 2):
        raise RuntimeError("ours")
    assert [process.returncode for process in started] == [-9]


def test_nobody_starts_what_a_launcher_has_started(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(launch.subprocess, "Popen", None)
    with others_started("", 8):
        pass
