import json

import pytest

from bidsapp.errors import DataError, ExitCode, NothingSelectedError
from bidsapp.status import COLUMNS, RunStatus, VisitStatus, pending, visits_from

DONE = VisitStatus("sub-01", "done")
SKIPPED = VisitStatus("sub-02", "skipped", "no T1w")
FAILED = VisitStatus("sub-03", "failed", "node crashed", "see the log")
BAD = VisitStatus("sub-04", "failed", "empty image", exit_code=ExitCode.BAD_DATA)


@pytest.mark.parametrize(
    ("visits", "code", "said"),
    [
        ([DONE], 0, "1 done"),
        ([DONE, SKIPPED], 0, "1 done, 1 skipped"),
        ([SKIPPED], 66, "1 skipped"),
        ([], 66, "no visit"),
        ([DONE, FAILED], 1, "1 done, 1 failed"),
        ([DONE, BAD], 1, "1 done, 1 failed"),
        ([BAD], 65, "1 failed"),
        ([BAD, SKIPPED], 65, "1 failed, 1 skipped"),
        ([BAD, FAILED], 1, "2 failed"),
    ],
)
def test_exit_status_line_and_json_agree(visits, code, said):
    status = RunStatus(tuple(visits))
    content = json.loads(status.to_json())
    assert status.exit_code == code
    assert status.last_line == f"synthprep: {said} [exit {code}]"
    assert (content["exit_code"], content["last_line"]) == (code, status.last_line)
    assert [visit["visit"] for visit in content["visits"]] == [visit.visit for visit in visits]


def test_an_error_ends_the_run_whatever_was_done():
    error = NothingSelectedError("no participant 99", "there is 01")
    status = RunStatus((DONE,), error)
    assert status.exit_code == 18
    assert status.last_line == "synthprep: stopped: no participant 99 (there is 01) [exit 18]"
    assert json.loads(status.to_json())["error"] == {"message": "no participant 99", "hint": "there is 01"}


def test_a_failure_at_the_first_level_is_not_forgotten():
    status = RunStatus((VisitStatus("sub-01", "failed", "FLAIR is empty"), VisitStatus("sub-01", "done")))
    assert status.exit_code == 1
    assert status.final["sub-01"].reason == "FLAIR is empty"


def test_done_at_one_level_and_skipped_at_the_next_is_no_failure():
    status = RunStatus((DONE, VisitStatus("sub-01", "skipped", "no T2w")))
    assert status.exit_code == 0
    assert "1 skipped" in status.last_line


def test_error_codes_are_the_documented_ones():
    assert RunStatus(error=DataError("x")).exit_code == 65


def test_a_part_of_a_run_that_has_nothing_to_do_is_no_failure():
    skipped = VisitStatus("sub-01", "skipped", "no T1w")
    for visits in ((), (skipped,)):
        assert RunStatus(visits).exit_code == 66
        assert RunStatus(visits, may_be_empty=True).exit_code == 0
    assert RunStatus((VisitStatus("sub-01", "failed", "FLAIR is empty"),), may_be_empty=True).exit_code == 1
    assert RunStatus(error=NothingSelectedError("x"), may_be_empty=True).exit_code == 18


def test_a_run_that_goes_on_has_no_exit_status_yet():
    status = RunStatus((DONE, pending("sub-05")), ended=False)
    content = json.loads(status.to_json(updated="now"))
    assert (content["exit_code"], content["last_line"]) == (None, "synthprep: running: 1 done, 1 pending")
    assert content["updated"] == "now"


def test_what_is_still_to_do_is_neither_success_nor_failure():
    assert RunStatus((DONE, pending("sub-05"))).exit_code == ExitCode.TEMPORARY == 75
    assert RunStatus((FAILED, pending("sub-05"))).exit_code == 1
    assert RunStatus((pending("sub-05"), VisitStatus("sub-05", "done", level="group"))).exit_code == 75


def test_visits_come_back_from_json_of_this_and_of_an_earlier_version():
    visits = (
        DONE,
        BAD,
        VisitStatus("sub-06", "failed", "x", "y", 2.5, level="group", node="T1w_wf.bias", peak_gb=1.5),
    )
    assert tuple(visits_from(json.loads(RunStatus(visits).to_json()))) == visits
    old = {
        "visits": [{"visit": "sub-01", "state": "done", "reason": "", "hint": "", "seconds": 1.0, "exit_code": 1}]
    }
    assert visits_from(old) == [VisitStatus("sub-01", "done", seconds=1.0)]
    for broken in ({}, [], {"visits": [1]}, {"visits": [{"visit": "a", "exit_code": 99}]}):
        with pytest.raises(ValueError):  # noqa: PT011 - of json, of the enumeration or of ours
            visits_from(broken)


def test_the_table_has_one_row_for_each_visit_and_one_line_for_each_reason():
    broken = VisitStatus("sub-01", "failed", "first\nsecond", seconds=3.0, level="participant", crash_file="c.txt")
    rows = RunStatus((broken, VisitStatus("sub-01", "done", level="group"), SKIPPED)).rows()
    assert [tuple(row) for row in rows] == [COLUMNS, COLUMNS]
    assert (rows[0]["visit"], rows[0]["level"], rows[0]["reason"]) == ("sub-01", "participant", "first second")
    assert (rows[0]["seconds"], rows[0]["peak_gb"], rows[1]["state"]) == (3.0, None, "skipped")


def test_the_first_line_of_a_failure_says_what_to_do_and_where_the_traceback_is():
    assert FAILED.line == "sub-03 failed: node crashed (see the log)"
    full = VisitStatus(
        "sub-01", "failed", "FLAIR header check: f.nii.gz: cut short", "fetch it", crash_file="l/c.txt"
    )
    assert full.line == "sub-01 failed: FLAIR header check: f.nii.gz: cut short (fetch it; traceback: l/c.txt)"
