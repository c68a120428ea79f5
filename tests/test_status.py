import json

import pytest

from bidsapp.errors import DataError, ExitCode, NothingSelectedError
from bidsapp.status import RunStatus, VisitStatus

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
