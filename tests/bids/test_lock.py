"""Files that several jobs read, add to and write: none loses what another added."""

import fcntl
import multiprocessing
import time
from pathlib import Path

import pytest

from bidsapp.bids import lock
from bidsapp.bids.dataset import open_derivatives
from bidsapp.bids.lock import locked
from bidsapp.bids.participants import update_participants
from bidsapp.settings import Settings

JOBS, ROUNDS = 4, 25


def add(out, job, start):
    start.wait()
    for number in range(ROUNDS):
        with locked(out):
            table = out / "table"
            text = table.read_text() if table.exists() else ""
            time.sleep(0.001)
            table.write_text(f"{text}{job}-{number}\n")


def begin(raw, out, job, start):
    """Do what a job does to the shared files at its start and at its end."""
    start.wait()
    contrast = f"C{job}"
    open_derivatives(Settings(raw, out, ("participant",), contrasts=(contrast,)))
    (out / f"sub-{job}").mkdir()
    update_participants(out)


def at_once(target, *args):
    context = multiprocessing.get_context("fork")
    start = context.Barrier(JOBS)
    jobs = [context.Process(target=target, args=(*args, job, start)) for job in range(JOBS)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
        assert job.exitcode == 0


def test_no_line_is_lost(tmp_path):
    at_once(add, tmp_path)
    lines = (tmp_path / "table").read_text().split()
    assert len(lines) == len(set(lines)) == JOBS * ROUNDS


def test_jobs_that_begin_and_end_at_once_lose_no_row_and_leave_no_file_behind(tmp_path):
    (tmp_path / "raw").mkdir()
    out = tmp_path / "out"
    at_once(begin, tmp_path / "raw", out)
    described = (out / "descriptions.tsv").read_text()
    assert all(f"desc-brainC{job}\t" in described for job in range(JOBS))
    assert (out / "participants.tsv").read_text().split() == ["participant_id", *(f"sub-{n}" for n in range(JOBS))]
    assert (out / ".bidsignore").read_text().splitlines().count("*.html") == 1
    assert [path.name for path in out.glob(".*")] == [".bidsignore"]


def test_who_does_not_let_go_is_not_waited_for_for_ever(tmp_path, caplog):
    with (tmp_path / lock.NAME).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with locked(tmp_path, patience=0.1):
            pass
    assert "held by another job" in caplog.text


def test_a_file_system_without_locks_is_no_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with locked(tmp_path):
        Path(tmp_path / "x").touch()
    assert (tmp_path / "x").exists()


@pytest.mark.parametrize("content", ["mine\n", None])
def test_a_link_gives_way_to_a_file_of_the_same_content(tmp_path, content):
    path, goal = tmp_path / "out" / lock.NAME, tmp_path / "annexed"
    path.parent.mkdir()
    path.symlink_to(goal)
    if content is not None:
        goal.write_text(content)
        goal.chmod(0o400)
    with locked(path.parent):
        assert not path.is_symlink()
    assert path.read_text() == (content or "")
    assert path.stat().st_mode & 0o600 == 0o600
    assert goal.exists() == (content is not None)
    assert list(path.parent.iterdir()) == [path]
