"""A visit's table: scans, and synthesized images with their verdicts."""

import csv

import pytest

from bidsapp.bids import names
from bidsapp.bids.gather import gather
from bidsapp.bids.scans import all_rows, listed_contrasts, read_scans, write_scans, write_verdict
from bidsapp.errors import DataError
from bidsapp.records import Scan, Visit

from ..derived import write_visit

VISIT = Visit("01", None, tuple(Scan(c, c) for c in ("T1w", "T2w")))
IMAGE = "anat/sub-01_desc-synth_FLAIR.nii.gz"


def rows_of(out):
    with (out / names.scans_table(VISIT)).open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture
def out(tmp_path):
    write_visit(tmp_path, VISIT)
    write_verdict(tmp_path, VISIT, {"filename": IMAGE, "contrast": "FLAIR", "verdict": "trust", "reasons": ""})
    return tmp_path


def test_a_verdict_is_a_row_of_its_own(out):
    *scans, row = rows_of(out)
    assert [scan["contrast"] for scan in scans] == ["T1w", "T2w"]
    assert {scan["verdict"] for scan in scans} == {"n/a"}
    assert (row["filename"], row["contrast"]) == (IMAGE, "FLAIR")
    assert (row["verdict"], row["reasons"], row["flags"]) == ("trust", "n/a", "n/a")
    again = {"filename": IMAGE, "contrast": "FLAIR", "verdict": "reject", "reasons": "noisy; turned"}
    write_verdict(out, VISIT, again)
    assert len(rows_of(out)) == 3
    assert (rows_of(out)[2]["verdict"], rows_of(out)[2]["reasons"]) == ("reject", "noisy; turned")


def test_a_synthesized_image_is_no_scan(out):
    assert [row["contrast"] for row in read_scans(out / names.scans_table(VISIT))] == ["T1w", "T2w"]
    assert listed_contrasts(out) == {"T1w", "T2w"}
    (visit,) = gather(out, ("T1w",), "FLAIR", "T1w").visits
    assert visit.pair.target is None


def test_a_new_run_of_the_participant_level_asks_for_a_new_verdict(out):
    rows = read_scans(out / names.scans_table(VISIT))
    write_scans(out, VISIT, rows, wanted=("T1w", "T2w"), reference="T1w")
    assert [row["contrast"] for row in rows_of(out)] == ["T1w", "T2w"]


def test_a_verdict_needs_a_table(tmp_path):
    with pytest.raises(DataError, match="missing or damaged"):
        write_verdict(tmp_path, VISIT, {"filename": IMAGE})


def test_the_rows_of_all_visits_name_their_visit_and_a_damaged_table_is_passed_over(out):
    write_visit(out, Visit("02", "A", VISIT.scans))
    (out / "sub-03").mkdir()
    (out / "sub-03/sub-03_scans.tsv").write_bytes(b"filename\tcontrast\n\xff\xfe\tT1w\n")
    found = [(row["visit"], row["contrast"], row["verdict"]) for row in all_rows(out)]
    assert found == [
        ("sub-01", "T1w", "n/a"),
        ("sub-01", "T2w", "n/a"),
        ("sub-01", "FLAIR", "trust"),
        ("sub-02_ses-A", "T1w", "n/a"),
        ("sub-02_ses-A", "T2w", "n/a"),
    ]
