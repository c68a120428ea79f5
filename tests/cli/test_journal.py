"""The status of a run while it goes."""

import csv
import json

from bidsapp.cli.journal import Journal
from bidsapp.errors import NoInputError
from bidsapp.status import COLUMNS, VisitStatus, pending


def read(folder):
    with (folder / "status.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return json.loads((folder / "status.json").read_text()), rows


def test_a_killed_run_leaves_what_was_done_and_what_was_not(tmp_path):
    journal = Journal(tmp_path)
    journal.add()
    assert read(tmp_path)[0]["exit_code"] is None  # from the very start
    journal.level = "participant"
    journal.add(pending("sub-01"), pending("sub-02"))
    journal.add(VisitStatus("sub-01", "done", seconds=2.0, peak_gb=0.75))
    content, rows = read(tmp_path)  # as it is when the system kills the job here
    assert content["last_line"] == "synthprep: running: 1 done, 1 pending"
    assert content["process"]["pid"] > 0
    assert [(row["visit"], row["level"], row["state"], row["peak_gb"]) for row in rows] == [
        ("sub-01", "participant", "done", "0.75"),
        ("sub-02", "participant", "pending", "n/a"),
    ]
    assert tuple(rows[0]) == COLUMNS
    assert [file.name for file in sorted(tmp_path.iterdir())] == [
        "status.json",
        "status.tsv",
    ]  # nothing half-written


def test_the_end_is_the_object_that_is_on_disk(tmp_path):
    journal = Journal(tmp_path)
    journal.add(VisitStatus("sub-01", "done"))
    status = journal.end(None)
    content, _ = read(tmp_path)
    assert (
        (content["exit_code"], content["last_line"])
        == (status.exit_code, status.last_line)
        == (0, status.last_line)
    )


def test_a_level_replaces_its_own_word_only(tmp_path):
    journal = Journal()
    for level in ("participant", "group"):
        journal.level = level
        journal.add(pending("sub-01"))
        journal.add(VisitStatus("sub-01", "done"))
    assert [(visit.level, visit.state) for visit in journal.end(None).visits] == [
        ("participant", "done"),
        ("group", "done"),
    ]


def test_a_status_that_cannot_be_written_is_part_of_the_end(tmp_path, caplog):
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "logs")
    journal.add(VisitStatus("sub-01", "done"))
    assert len(caplog.records) == 1
    assert journal.end(None).exit_code == 74
    assert journal.end(NoInputError("no pair")).exit_code == 66
