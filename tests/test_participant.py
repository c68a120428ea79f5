"""The participant level: what it says of each visit, and what it leaves on disk."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp import participant
from bidsapp.bids.dataset import SCANS_COLUMNS
from bidsapp.bids.scans import write_verdict
from bidsapp.bids.sidecars import SLOPPY
from bidsapp.bids.sink import write_image, write_json, write_text, write_tsv
from bidsapp.errors import DataError, ExitCode
from bidsapp.interfaces.base import leave_word
from bidsapp.interfaces.record import RECORD_FILE
from bidsapp.records import Scan, Selection, Visit
from bidsapp.reports.boilerplate import text_of
from bidsapp.resources import Grant
from bidsapp.settings import Settings
from bidsapp.workflows.execution import Failure, Outcome
from bidsapp.workflows.nodes import node_folder, sink_node, spaces_node

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
            "figures": {"brain": "figure.svg"},
            "header": {"Matrix": "9 × 9 × 9"},
            "raw": scan.path.relative_to(settings.bids_dir).as_posix(),
        }
        (folder / RECORD_FILE).write_text(json.dumps(record))

    def level(outcome, **changes):
        monkeypatch.setattr(participant, "execute", lambda *_, **__: outcome)
        (status,) = participant.run(replace(settings, **changes), Selection((visit,), ()), GRANT, tmp_path)
        return status

    return level


def filename(contrast, reference="run-1_"):
    return f"anat/sub-01_{reference if contrast == 'T1w' else 'space-T1w_'}desc-preproc_{contrast}.nii.gz"


def write_scan(path, *, spacing=2.0, offset=0.0, sidecar=None):
    affine = np.diag([spacing, spacing, spacing, 1])
    affine[0, 3] = offset
    write_image(nib.Nifti1Image(np.zeros((4, 5, 6)), affine), path, {"SourceSHA256": "a", **(sidecar or {})})


def earlier_run(settings, *contrasts, reference="run-1_", flags="n/a"):
    """Leave a table, and the images that stand in it."""
    rows = [{"filename": filename(c, reference), "contrast": c, "flags": flags} for c in contrasts]
    for row in rows:
        write_scan(settings.output_dir / "sub-01" / row["filename"])
    write_tsv(rows, settings.output_dir / "sub-01/sub-01_scans.tsv", ["filename", *SCANS_COLUMNS])


def sinks(visit, *contrasts):
    return {sink_node(visit, visit.scan(contrast)) for contrast in contrasts}


def methods_on(page):
    return page.partition('<section id="methods">')[2].partition("</section>")[0]


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


def test_a_visit_is_not_done_before_its_scans_are_in_standard_spaces(level, visit, settings):
    spaces = {"output_spaces": ("MNI152NLin2009aSym",)}
    carried = {spaces_node(visit, scan) for scan in visit.scans}
    for node in carried:
        (folder := node_folder(settings, node)).mkdir(parents=True)
        record = {"row": {}, "outputs": [], "figures": {"MNI152NLin2009aSym": "figure.svg"}}
        (folder / RECORD_FILE).write_text(json.dumps(record))
    page, said = settings.output_dir / "sub-01.html", "standard spaces: not finished, the run stopped before"
    status = level(Outcome(sinks(visit, "T1w", "FLAIR")), **spaces)
    assert status.state == "failed"
    assert "not finished" in status.reason
    assert said in page.read_text()
    assert level(Outcome(sinks(visit, "T1w", "FLAIR") | carried), **spaces).state == "done"
    assert said not in page.read_text()
    assert "Nothing was flagged" in page.read_text()


def test_a_failed_scan_costs_only_itself(level, visit, settings):
    failure = Failure("participant.sub_01.FLAIR_wf.header", "FLAIR.nii.gz: empty", "fetch it", ExitCode.BAD_DATA)
    status = level(Outcome(sinks(visit, "T1w"), [failure]))
    path = visit.scan("FLAIR").path
    assert (status.state, status.hint, status.node) == ("failed", "fetch it", "FLAIR_wf.header")
    assert status.reason == f"FLAIR header check: {path}: FLAIR.nii.gz: empty"
    assert status.line == f"sub-01 failed: {status.reason} (fetch it)"
    assert status.exit_code == ExitCode.BAD_DATA
    assert contrasts_in_table(settings) == ["T1w"]
    page = (settings.output_dir / "sub-01.html").read_text()
    assert "<strong>failed</strong>: FLAIR.nii.gz: empty" in page
    assert "<dt>FLAIR_wf.header</dt><dd>FLAIR.nii.gz: empty<br>What to do: fetch it</dd>" in page


def test_the_methods_text_tells_of_scans_that_were_finished(level, visit, settings):
    failure = Failure("participant.sub_01.FLAIR_wf.header", "FLAIR.nii.gz: empty", "fetch it", ExitCode.BAD_DATA)
    level(Outcome(sinks(visit, "T1w"), [failure]))
    text = (settings.output_dir / "logs/CITATION.md").read_text(encoding="utf-8")
    assert "The brain was found on the T1w with deepbet" in text
    assert "FLAIR" not in text
    page = (settings.output_dir / "sub-01.html").read_text(encoding="utf-8")
    assert "(Tustison et al. 2010)" in methods_on(page)
    assert "The brain was found on the T1w with deepbet" in methods_on(page)
    assert "FLAIR" not in methods_on(page)
    assert "[@" not in page
    level(Outcome(sinks(visit, "T1w", "FLAIR"), []))
    assert "on the T1w and the FLAIR" in (settings.output_dir / "logs/CITATION.md").read_text(encoding="utf-8")
    assert "on the T1w and the FLAIR" in methods_on((settings.output_dir / "sub-01.html").read_text("utf-8"))


def test_standard_spaces_are_told_of_where_images_were_written_there(visit, settings):
    settings = replace(settings, output_spaces=("MNI152NLin2009aSym",))
    written = {spaces_node(visit, visit.scan("T1w"))}
    for finished, told in ((set(), False), (written, True)):
        said = participant._told(settings, visit, Outcome(sinks(visit, "T1w") | finished))
        assert ("spaces" in [sentence.step for sentence in said]) is told


@pytest.mark.usefixtures("level")
def test_the_methods_text_tells_of_visits_that_were_done_before_the_run_was_interrupted(
    visit, settings, monkeypatch, tmp_path
):
    def execute(*_, on_visit, **__):
        on_visit("sub_01", Outcome(sinks(visit, "T1w", "FLAIR")))
        raise KeyboardInterrupt

    monkeypatch.setattr(participant, "execute", execute)
    with pytest.raises(KeyboardInterrupt):
        participant.run(settings, Selection((visit,), ()), GRANT, tmp_path)
    assert "on the T1w and the FLAIR" in text_of(settings.output_dir)


def test_what_an_earlier_run_left_is_not_taken_for_this_ones(level, visit, settings):
    assert level(Outcome(sinks(visit, "T1w", "FLAIR"), [])).state == "done"
    assert "Nothing was flagged" in (settings.output_dir / "sub-01.html").read_text()
    failure = Failure("participant.sub_01.T1w_wf.header", "T1w.nii.gz: empty", "", ExitCode.BAD_DATA)
    assert level(Outcome(set(), [failure])).state == "failed"
    assert contrasts_in_table(settings) == []
    page = (settings.output_dir / "sub-01.html").read_text()  # nor does the page say any more that all is well
    assert "<strong>failed</strong>: T1w.nii.gz: empty" in page
    assert "<strong>not finished</strong>: what it needs failed" in page
    assert "Nothing was flagged" not in page


def test_a_contrast_that_this_run_did_not_ask_for_stays_listed_with_its_flag(level, visit, settings):
    earlier_run(settings, "T1w", "FLAIR", "T2w", flags="slipped")
    assert level(Outcome(sinks(visit, "T1w", "FLAIR"), [])).state == "done"
    table = (settings.output_dir / "sub-01/sub-01_scans.tsv").read_text().splitlines()
    assert contrasts_in_table(settings) == ["T1w", "FLAIR", "T2w"]
    assert [row.split("\t")[-1] for row in table] == ["flags", "n/a", "n/a", "slipped"]
    page = (settings.output_dir / "sub-01.html").read_text(encoding="utf-8")
    assert "1 thing was flagged" in page
    assert page.count("<li>T2w, of an earlier run: slipped</li>") == 2
    assert '<th scope="col" class="number">T2w</th>' in page
    assert filename("T2w") in page


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


@pytest.mark.parametrize(
    ("now", "listed"),
    [
        ({}, True),
        ({"spacing": 1.0}, False),
        ({"offset": 0.01}, False),
        ({"sidecar": {"SourceSHA256": "b"}}, False),
    ],
)
def test_what_lies_on_another_grid_or_scan_of_the_same_name_is_listed_no_more(level, visit, settings, now, listed):
    earlier_run(settings, "T1w", "FLAIR", "T2w")
    write_scan(settings.output_dir / "sub-01" / filename("T2w"), sidecar={"ReferenceSHA256": "a"})
    write_scan(settings.output_dir / "sub-01" / filename("T1w"), **now)  # by this run
    level(Outcome(sinks(visit, "T1w", "FLAIR"), []))
    assert contrasts_in_table(settings) == ["T1w", "FLAIR", *(["T2w"] if listed else [])]


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


def test_each_visit_is_told_of_once(visit, settings, monkeypatch, tmp_path):
    outcome = Outcome(set(), [], {}, {"participant.sub_01.T1w_wf.brain": 1.25})

    def execute(*_, on_visit, **__):
        on_visit("sub_01", outcome)
        return outcome

    monkeypatch.setattr(participant, "execute", execute)
    told = []
    (status,) = participant.run(settings, Selection((visit,), ()), GRANT, tmp_path, told.append)
    assert told == [status]
    assert (status.level, status.peak_gb) == ("participant", 1.25)


def test_pages_are_written_anew_from_what_is_there(level, visit, settings):
    assert level(Outcome(sinks(visit, "T1w", "FLAIR"), [])).state == "done"
    page, table = settings.output_dir / "sub-01.html", settings.output_dir / "sub-01/sub-01_scans.tsv"
    row = {"filename": "anat/sub-01_desc-synth_FLAIR.nii.gz", "contrast": "FLAIR", "verdict": "caution"}
    write_verdict(settings.output_dir, visit, {**row, "reasons": "noisier; cut"})
    before = table.read_bytes()
    page.write_text("lost")
    for contrast in ("T1w", "FLAIR"):  # the FLAIR's outputs were changed since
        record = node_folder(settings, sink_node(visit, visit.scan(contrast))) / RECORD_FILE
        said = json.loads(record.read_text())
        outputs = ["gone.nii.gz"] if contrast == "FLAIR" else []
        record.write_text(json.dumps({**said, "outputs": outputs, "stamps": [[1, 1]] * len(outputs)}))
    told = []
    (status,) = participant.rewrite_reports(settings, Selection((visit,), ()), told.append)
    assert (status.state, told) == ("done", [status])
    text = page.read_text()
    assert "desc-preproc_T1w" in text
    assert "desc-preproc_FLAIR" not in text
    assert "Synthesized image: caution." in text
    assert "noisier" in text
    assert table.read_bytes() == before


def test_pages_that_are_written_anew_tell_of_the_run_that_made_the_images(level, visit, settings):
    assert level(Outcome(sinks(visit, "T1w", "FLAIR"), [])).state == "done"
    page = settings.output_dir / "sub-01.html"
    t1w, flair = (node_folder(settings, sink_node(visit, visit.scan(c))) for c in ("T1w", "FLAIR"))
    record = json.loads((t1w / RECORD_FILE).read_text())
    (t1w / RECORD_FILE).write_text(json.dumps({**record, "stamps": []}))

    def rewritten(**changes):
        participant.rewrite_reports(replace(settings, **changes), Selection((visit,), ()), lambda _: None)
        return page.read_text(encoding="utf-8")

    assert '<pre class="command"' in page.read_text()
    text = rewritten(skull_strip="template", sloppy=True)
    assert "with deepbet" in methods_on(text)
    assert "A coarse trial run" not in text
    assert '<pre class="command"' not in text
    assert "<summary>Versions</summary>" not in text
    lost = "not finished, no finished record of it is left; synthprep-status says what became of it"
    assert text.count(f"<li>FLAIR: {lost}</li>") == 2

    leave_word(flair.parent / "header", DataError("FLAIR.nii.gz: truncated", "copy it again"))
    write_json({"Description": SLOPPY}, settings.output_dir / "sub-01/anat/sub-01_desc-preproc_T1w.json")
    text = rewritten()
    assert "A coarse trial run" in text
    assert "<strong>failed</strong>: FLAIR.nii.gz: truncated" in text
    assert "<dt>FLAIR_wf.header</dt><dd>FLAIR.nii.gz: truncated<br>What to do: copy it again</dd>" in text
    assert "no finished record" not in text


def test_a_visit_of_which_nothing_is_left_keeps_its_page(visit, settings):
    page = settings.output_dir / "sub-01.html"
    write_text("as it was", page)
    (status,) = participant.rewrite_reports(settings, Selection((visit,), ()), lambda _: None)
    assert (status.state, page.read_text()) == ("skipped", "as it was")
    assert str(settings.work) in status.reason


def test_a_visit_that_never_had_its_turn_is_not_done(level, visit, settings):
    other = Failure("participant.sub_02.T1w_wf.header", "T1w.nii.gz: empty", "", ExitCode.BAD_DATA)
    status = level(Outcome(sinks(visit, "T1w"), [other]))
    assert status.state == "failed"
    assert "not finished" in status.reason
    assert status.exit_code == ExitCode.VISIT_FAILED
    page = (settings.output_dir / "sub-01.html").read_text()
    assert "Nothing was flagged" not in page
    assert "1 thing was flagged" in page
    assert page.count("<li>FLAIR: not finished, the run stopped before</li>") == 2


def test_visits_are_worked_on_some_at_a_time(settings, visit, monkeypatch, tmp_path):
    seen, visits = [], tuple(Visit(f"{n:03d}", None, visit.scans) for n in range(70))
    monkeypatch.setattr(participant, "init_run_wf", lambda _, some, __: seen.append(len(some)))
    monkeypatch.setattr(participant, "execute", lambda *_, **__: Outcome())
    statuses = participant.run(settings, Selection(visits, ()), GRANT, tmp_path)
    assert seen == [32, 32, 6]
    assert [status.visit for status in statuses] == [visit.label for visit in visits]


def test_after_a_first_crash_no_further_visits_are_started(settings, visit, monkeypatch, tmp_path):
    seen, visits = [], tuple(Visit(f"{n:03d}", None, visit.scans) for n in range(70))
    failure = Failure("participant.sub_000.T1w_wf.header", "T1w.nii.gz: empty", "", ExitCode.BAD_DATA)
    monkeypatch.setattr(participant, "init_run_wf", lambda _, some, __: seen.append(len(some)))
    monkeypatch.setattr(participant, "execute", lambda *_, **__: Outcome(set(), [failure]))
    settings = replace(settings, stop_on_first_crash=True)
    statuses = participant.run(settings, Selection(visits, ()), GRANT, tmp_path)
    assert seen == [32]
    assert len(statuses) == 70
    assert statuses[0].reason.endswith("T1w.nii.gz: empty")
    assert all("not finished" in status.reason for status in statuses[1:])


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
    assert first[0].reason.startswith(f"T1w header check: {broken}: ")
    assert "Traceback" in Path(first[0].crash_file).read_text()
    assert first[0].exit_code == ExitCode.BAD_DATA
    page = (tmp_path / f"out/{visits[0].label}.html").read_text()
    assert str(broken) in page
    assert list((tmp_path / "out").glob(f"sub-*/ses-*/{visits[0].label}_*")) == []  # no table without a reference
    assert first[1].seconds > 1
    assert second[1].seconds == 0  # nothing was computed
