"""The participant level: what it says of each visit, and what it leaves on disk."""

import csv
import json
import shutil

import pytest

from bidsapp import participant
from bidsapp.bids.dataset import SCANS_COLUMNS
from bidsapp.bids.sink import write_text, write_tsv
from bidsapp.errors import ExitCode
from bidsapp.interfaces.record import RECORD_FILE
from bidsapp.records import Scan, Selection, Visit
from bidsapp.resources import Grant
from bidsapp.settings import Settings
from bidsapp.workflows.execution import Failure, Outcome
from bidsapp.workflows.nodes import node_folder, sink_node

GRANT = Grant(2, 8.0, 0, ())


@pytest.fixture
def visit(tmp_path):
    anat = tmp_path / "raw/sub-01/anat"
    return Visit("01", None, tuple(Scan(anat / f"sub-01_{c}.nii.gz", c) for c in ("T1w", "FLAIR")))


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path / "raw", tmp_path / "out", ("participant",))


@pytest.fixture
def level(visit, settings, monkeypatch, tmp_path):
    """Return a function that runs the level on one visit whose graph had a given outcome.

    Both scans have a record in the work folder, as an earlier run leaves them.
    """
    for scan in visit.scans:
        folder = node_folder(settings, sink_node(visit, scan))
        folder.mkdir(parents=True)
        record = {
            "row": {"filename": filename(scan.contrast), "contrast": scan.contrast, "flags": ""},
            "decisions": [],
            "outputs": [],
            "figure": "figure.svg",
        }
        (folder / RECORD_FILE).write_text(json.dumps(record))

    def level(outcome):
        monkeypatch.setattr(participant, "execute", lambda *_, **__: outcome)
        (status,) = participant.run(settings, Selection((visit,), ()), GRANT, tmp_path)
        return status

    return level


def filename(contrast, reference="run-1_"):
    return f"anat/sub-01_{reference if contrast == 'T1w' else 'space-T1w_'}desc-preproc_{contrast}.nii.gz"


def earlier_run(settings, *contrasts, reference="run-1_", flags="n/a"):
    """Leave a table, and the images that stand in it."""
    rows = [{"filename": filename(c, reference), "contrast": c, "flags": flags} for c in contrasts]
    for row in rows:
        write_text("", settings.output_dir / "sub-01" / row["filename"])
    write_tsv(rows, settings.output_dir / "sub-01/sub-01_scans.tsv", ["filename", *SCANS_COLUMNS])


def sinks(visit, *contrasts):
    return {sink_node(visit, visit.scan(contrast)) for contrast in contrasts}


def contrasts_in_table(settings):
    table = settings.output_dir / "sub-01/sub-01_scans.tsv"
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return [row["contrast"] for row in csv.DictReader(file, delimiter="\t")]


def test_a_visit_is_done_when_all_its_scans_are(level, visit, settings):
    spent = {"participant.sub_01.T1w_wf.brain": 2.0, "participant.sub_01.FLAIR_wf.bias": 1.5}
    status = level(Outcome(sinks(visit, "T1w", "FLAIR"), [], {**spent, "participant.sub_02.T1w_wf.bias": 9.0}))
    assert (status.state, status.seconds) == ("done", 3.5)
    assert contrasts_in_table(settings) == ["T1w", "FLAIR"]


def test_a_failed_scan_costs_only_itself(level, visit, settings):
    failure = Failure("participant.sub_01.FLAIR_wf.header", "FLAIR.nii.gz: empty", "fetch it", ExitCode.BAD_DATA)
    status = level(Outcome(sinks(visit, "T1w"), [failure]))
    assert (status.state, status.reason, status.hint) == ("failed", "FLAIR.nii.gz: empty", "fetch it")
    assert status.exit_code == ExitCode.BAD_DATA
    assert contrasts_in_table(settings) == ["T1w"]
    assert "FLAIR.nii.gz: empty" in (settings.output_dir / "sub-01.html").read_text()


def test_the_methods_text_tells_of_scans_that_were_finished(level, visit, settings):
    failure = Failure("participant.sub_01.FLAIR_wf.header", "FLAIR.nii.gz: empty", "fetch it", ExitCode.BAD_DATA)
    level(Outcome(sinks(visit, "T1w"), [failure]))
    text = (settings.output_dir / "logs/CITATION.md").read_text(encoding="utf-8")
    assert "The brain was found on the T1w with deepbet" in text
    assert "FLAIR" not in text
    page = (settings.output_dir / "sub-01.html").read_text(encoding="utf-8")
    assert "(Tustison et al. 2010)" in page
    assert "[@" not in page
    level(Outcome(sinks(visit, "T1w", "FLAIR"), []))
    assert "on the T1w and the FLAIR" in (settings.output_dir / "logs/CITATION.md").read_text(encoding="utf-8")


def test_what_an_earlier_run_left_is_not_taken_for_this_ones(level, visit, settings):
    failure = Failure("participant.sub_01.T1w_wf.header", "T1w.nii.gz: empty", "", ExitCode.BAD_DATA)
    assert level(Outcome(set(), [failure])).state == "failed"
    assert contrasts_in_table(settings) == []


def test_a_contrast_that_this_run_did_not_ask_for_stays_listed_with_its_flag(level, visit, settings):
    earlier_run(settings, "T1w", "FLAIR", "T2w", flags="slipped")
    assert level(Outcome(sinks(visit, "T1w", "FLAIR"), [])).state == "done"
    table = (settings.output_dir / "sub-01/sub-01_scans.tsv").read_text().splitlines()
    assert contrasts_in_table(settings) == ["T1w", "FLAIR", "T2w"]
    assert [row.split("\t")[-1] for row in table] == ["flags", "n/a", "n/a", "slipped"]


def test_a_scan_that_failed_now_or_was_not_selected_is_listed_no_more(level, visit, settings):
    earlier_run(settings, "T1w", "FLAIR", "T2w")
    failure = Failure("participant.sub_01.FLAIR_wf.header", "FLAIR.nii.gz: empty", "fetch it", ExitCode.BAD_DATA)
    level(Outcome(sinks(visit, "T1w"), [failure]))
    assert contrasts_in_table(settings) == ["T1w", "T2w"]
    assert (settings.output_dir / "sub-01" / filename("FLAIR")).is_file()  # nothing is deleted


def test_an_image_that_is_gone_is_listed_no_more(level, visit, settings):
    earlier_run(settings, "T1w", "FLAIR", "T2w")
    (settings.output_dir / "sub-01" / filename("T2w")).unlink()
    level(Outcome(sinks(visit, "T1w", "FLAIR"), []))
    assert contrasts_in_table(settings) == ["T1w", "FLAIR"]


def test_what_was_aligned_with_another_reference_scan_is_listed_no_more(level, visit, settings):
    earlier_run(settings, "T1w", "T2w", reference="run-2_")
    level(Outcome(sinks(visit, "T1w", "FLAIR"), []))
    assert contrasts_in_table(settings) == ["T1w", "FLAIR"]


def test_a_reference_that_failed_now_leaves_nothing_listed(level, visit, settings):
    earlier_run(settings, "T1w", "FLAIR", "T2w")
    failure = Failure("participant.sub_01.T1w_wf.header", "T1w.nii.gz: empty", "", ExitCode.BAD_DATA)
    level(Outcome(set(), [failure]))
    assert contrasts_in_table(settings) == []


def test_a_visit_that_never_had_its_turn_keeps_its_table(level, visit, settings):
    earlier_run(settings, "T1w", "FLAIR")
    other = Failure("participant.sub_02.T1w_wf.header", "T1w.nii.gz: empty", "", ExitCode.BAD_DATA)
    assert level(Outcome(set(), [other])).state == "failed"
    assert contrasts_in_table(settings) == ["T1w", "FLAIR"]


def test_a_visit_that_never_had_its_turn_is_not_done(level, visit):
    other = Failure("participant.sub_02.T1w_wf.header", "T1w.nii.gz: empty", "", ExitCode.BAD_DATA)
    status = level(Outcome(sinks(visit, "T1w"), [other]))
    assert status.state == "failed"
    assert "not finished" in status.reason
    assert status.exit_code == ExitCode.VISIT_FAILED


def test_nothing_selected_is_nothing_to_do(settings, tmp_path):
    assert participant.run(settings, Selection((), ()), GRANT, tmp_path) == ()
    assert not settings.output_dir.exists()


@pytest.mark.slow
def test_a_broken_reference_fails_its_visit_and_no_other(phantom_cohort, tmp_path):
    raw = shutil.copytree(phantom_cohort, tmp_path / "raw", ignore=shutil.ignore_patterns("sub-03", "sourcedata"))
    settings = Settings(raw, tmp_path / "out", ("participant",), sloppy=True)
    visits = tuple(
        Visit(
            path.parts[-3].removeprefix("sub-"),
            path.parts[-2].removeprefix("ses-"),
            tuple(Scan(file, file.name.split("_")[-1].split(".")[0]) for file in sorted(path.glob("*.nii.gz"))),
        )
        for path in sorted(raw.glob("sub-*/ses-1/anat"))
    )
    visits = tuple(
        Visit(v.subject, v.session, tuple(s for s in v.scans if s.contrast in {"T1w", "FLAIR"})) for v in visits
    )
    broken = visits[0].scan("T1w").path
    broken.write_bytes(broken.read_bytes()[:3000])
    first, second = (participant.run(settings, Selection(visits, ()), GRANT, tmp_path) for _ in range(2))
    assert [status.state for status in first] == ["failed", "done"]
    assert first[0].reason.startswith(str(broken))
    assert first[0].exit_code == ExitCode.BAD_DATA
    assert list((tmp_path / "out").glob(f"{visits[0].label}*")) == []  # no page and no table without a reference
    assert first[1].seconds > 1
    assert second[1].seconds == 0  # nothing was computed
