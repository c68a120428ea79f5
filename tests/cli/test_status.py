"""``synthprep-status``: one answer from many runs."""

import json
import os

import pytest

from bidsapp.cli.status import labels_left, main, merged, read_runs
from bidsapp.errors import AppError, ExitCode
from bidsapp.settings import Settings
from bidsapp.status import RunStatus, VisitStatus, pending

GONE = 2**22 + 1  # beyond the highest process number of Linux


@pytest.fixture
def run(tmp_path):
    """Return a function that leaves the logs of a run."""
    raw = tmp_path / "raw"
    for number in range(1, 6):
        (raw / f"sub-0{number}").mkdir(parents=True)
    out = tmp_path / "out"

    def run(name, *visits, levels=("participant",), ended=True, updated=None, host=None, pid=1, **asked):
        folder = out / "logs" / name
        folder.mkdir(parents=True)
        more = {"process": {"host": host or os.uname().nodename, "pid": pid}}
        more |= {"updated": updated} if updated else {}
        (folder / "status.json").write_text(RunStatus(visits, ended=ended).to_json(**more))
        (folder / "config.toml").write_text(Settings(raw, out, levels, **asked).to_toml())
        return out

    return run


def of(level, visit, state, *words, **more):
    return VisitStatus(visit, state, *words, level=level, **more)


def participant(*words, **more):
    return of("participant", *words, **more)


FAILED = participant("sub-02", "failed", "T1w header check: t.nii.gz: cut short", "fetch it", node="T1w_wf.header")


def test_the_latest_word_on_each_visit_and_level_wins(run):
    run("20260101T000000Z-aaaaaa", participant("sub-01", "failed", "old"), participant("sub-03", "done"))
    run("20260102T000000Z-aaaaaa", participant("sub-01", "done"), FAILED)
    # Began before the second run and spoke after it.
    updated = "2026-01-03T00:00:00+00:00"
    out = run("20260101T120000Z-aaaaaa", of("group", "sub-03", "failed", "x"), levels=("group",), updated=updated)
    status = merged(read_runs(out))
    said = {(visit.visit, visit.level): visit.state for visit in status.visits}
    assert said == {
        ("sub-01", "participant"): "done",
        ("sub-02", "participant"): "failed",
        ("sub-03", "participant"): "done",
        ("sub-03", "group"): "failed",
    }
    assert labels_left(status) == ["02", "03"]
    assert labels_left(merged(read_runs(out), "participant")) == ["02"]


def test_labels_are_those_that_failed_were_killed_or_never_had_a_turn(run, capsys):
    run(
        "20260101T000000Z-aaaaaa",
        participant("sub-01", "done"),
        FAILED,
        participant("sub-03", "skipped", "no T1w"),
    )
    out = run("20260102T000000Z-aaaaaa", pending("sub-04_ses-1"), ended=False, pid=GONE)
    assert main([str(out), "--labels"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "02\n04\n05\n"
    assert captured.err == "synthprep-status: 1 done, 1 failed, 1 skipped, 2 pending [exit 1]\n"


def test_the_table_says_why_and_what_to_do(run, capsys):
    out = run("20260102T000000Z-aaaaaa", FAILED, pending("sub-04"), ended=False, pid=GONE)
    main([str(out)])
    said = " ".join(capsys.readouterr().out.split())
    assert "T1w_wf.header" in said
    assert "fetch it" in said
    assert "the run was killed on" in said
    assert "lower --nprocs" in said
    assert "left to do: --participant-label 01 02 03 04 05" in said


@pytest.mark.parametrize(
    ("host", "pid", "said"),
    [
        (None, GONE, "the run was killed"),
        (None, None, "still running on"),
        ("elsewhere", 1, "still running or killed"),
    ],
)
def test_a_run_without_an_end_is_told_from_one_that_goes_on(run, host, pid, said):
    out = run("20260102T000000Z-aaaaaa", pending("sub-04"), ended=False, host=host, pid=pid or os.getpid())
    (visit,) = merged(read_runs(out)).visits
    assert visit.hint.startswith(said)


def test_json_is_the_same_object_as_the_exit_status(run, capsys):
    out = run("20260102T000000Z-aaaaaa", *(participant(f"sub-0{number}", "done") for number in range(1, 5)))
    assert main([str(out), "--json"]) == 75  # sub-05 never had a turn
    content = json.loads(capsys.readouterr().out)
    assert (content["exit_code"], content["left"]) == (75, ["05"])
    assert main([str(out), "--json", "--bids-dir", str(out)]) == 0


def test_pages_that_were_written_anew_are_no_word_on_a_visit(run):
    run("20260101T000000Z-aaaaaa", FAILED)
    out = run("20260102T000000Z-aaaaaa", participant("sub-02", "done"), reports_only=True)
    assert labels_left(merged(read_runs(out))) == ["02"]


def test_all_is_done(run, capsys):
    out = run("20260102T000000Z-aaaaaa", *(participant(f"sub-0{number}", "done") for number in range(1, 6)))
    assert main([str(out), "--labels"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "synthprep-status: 5 done [exit 0]\n")


def test_runs_of_an_earlier_version_and_broken_ones(run, capsys):
    out = run("20260102T000000Z-aaaaaa", VisitStatus("sub-01", "done"))
    old = out / "logs/20260101T000000Z-aaaaaa"
    old.mkdir()
    (old / "status.json").write_text("{")
    status = merged(read_runs(out))
    assert [(visit.visit, visit.level) for visit in status.visits] == [("sub-01", "participant")]
    assert f"{old / 'status.json'} is left out" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "code"), [(["nowhere"], 66), ([], 64), (["x", "--labels", "--json"], 64)])
def test_what_cannot_be_answered(tmp_path, capsys, words, code):
    assert main([str(tmp_path / word) if word in "nowherex" else word for word in words]) == code
    assert capsys.readouterr().err.rstrip().endswith(f"[exit {code}]")


@pytest.mark.parametrize(("code", "state"), [(ExitCode.NO_INPUT, "failed"), (ExitCode.INTERRUPTED, "pending")])
def test_visits_of_a_run_that_would_stop_again_have_failed(run, tmp_path, capsys, code, state):
    out = run("20260101T000000Z-aaaaaa", of("group", "sub-01", "pending"), levels=("group",))
    error = type("Stop", (AppError,), {"exit_code": code})("training needs two or more", "run more of them")
    (file,) = out.glob("logs/*/status.json")
    file.write_text(RunStatus((of("group", "sub-01", "pending"),), error).to_json())
    (visit,) = merged(read_runs(out)).visits
    assert visit.state == state
    assert main([str(out), "--level", "group"]) == (1 if state == "failed" else 75)
    said = " ".join(capsys.readouterr().out.split())
    assert ("run more of them" in said) is (state == "failed")
    assert ("run the same command again" in said) is (state == "pending")


@pytest.mark.parametrize("change", [{"error": "boom"}, {"updated": 5}, {"error": {"message": 1}}, {"visits": 3}])
def test_a_status_that_is_none_is_passed_over(run, capsys, change):
    out = run("20260101T000000Z-aaaaaa", participant("sub-01", "done"))
    file = next(run("20260102T000000Z-aaaaaa", participant("sub-01", "done")).glob("logs/20260102*/status.json"))
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert [visit.state for visit in merged(read_runs(out)).visits] == ["done"]
