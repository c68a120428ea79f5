import re

import pytest

from bidsapp.reports.group import write_group_report
from bidsapp.reports.measures import MEASURES
from bidsapp.reports.records import GroupReport
from bidsapp.synthesis.metrics import MEASURED
from bidsapp.synthesis.statistics import Interval
from bidsapp.synthesis.uncertainty import INTERVAL_MEASURED

VISITS = (("sub-01_ses-1", 0), ("sub-01_ses-2", 0), ("sub-02", 1))


def report(**changes):
    rows = [
        {
            "visit": visit,
            "participant": visit[:6],
            "fold": fold,
            "model": model,
            "steps": steps,
            "mae": error + 0.01 * number,
            "psnr": 20.5 + number,
            "ssim": None if model == "floor" else 0.8 + 0.01 * number,
        }
        for number, (visit, fold) in enumerate(VISITS)
        for model, error, steps in (("unet", 0.3, 412), ("floor", 0.4, None))
    ]
    values = {
        "version": "1.2.3",
        "plan": {"sources": ("T1w", "T2w"), "target": "FLAIR", "channels": (16, 32), "max_steps": None},
        "rows": rows,
        "columns": ("unet", "floor"),
        "summary": {
            "mae": {"unet": Interval(2, 0.3126, 0.305, 0.32), "floor": Interval(2, 0.4126, 0.405, 0.42)},
            "ssim": {"unet": Interval(1, 0.81, None, None)},
        },
        "predictions": [
            {"visit": "sub-02", "path": "sub-02/anat/x_FLAIR.nii.gz", "in_training_set": True, "fold": 1},
            {"visit": "sub-03", "path": "sub-03/anat/y_FLAIR.nii.gz", "in_training_set": False, "fold": None},
        ],
        "skipped": [("sub-09", "no T1w", "name another --reference")],
    }
    return GroupReport(**{**values, **changes})


def table_rows(text, section):
    """Return the cells' text of every table row of a section."""
    body = text[text.index(f'id="{section}"') :].split("</section>")[0]
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.S)
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in found]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in rows]


def test_verdicts_stand_beside_the_images(tmp_path):
    judged = [
        {
            "visit": "sub-02",
            "path": "a.nii.gz",
            "in_training_set": True,
            "fold": 1,
            "verdict": "trust",
            "reasons": [],
        },
        {
            "visit": "sub-03",
            "path": "b.nii.gz",
            "in_training_set": False,
            "fold": None,
            "verdict": "reject",
            "reasons": ["T1w is noisier", "it is <turned>"],
        },
    ]
    path = tmp_path / "group.html"
    text = write_group_report(report(predictions=judged, skipped=(), false_alarms=0.02), path).read_text()
    assert "Verdicts: trust 1, reject 1." in text
    assert "lets about 2 % of clean images fail" in text
    rows = table_rows(text, "synthesized")
    assert [row[3] for row in rows[1:]] == ["trust", "rejectT1w is noisierit is &lt;turned&gt;"]
    assert 'class="status look"' in text
    text = write_group_report(report(predictions=judged[:1], skipped=(), false_alarms=0.02), path).read_text()
    assert 'class="status good"' in text
    assert "Verdict" not in write_group_report(report(), path).read_text()


def test_caution_because_of_the_network_is_explained_as_such(tmp_path):
    item = {"visit": "sub-02", "path": "a", "fold": 1, "verdict": "caution", "reasons": ["no better"]}
    said = {"predictions": [item], "false_alarms": 0.02, "reservation": "the network is no better than a map"}
    text = write_group_report(report(**said), tmp_path / "group.html").read_text(encoding="utf-8")
    assert "<strong>No image here is trusted:</strong> the network is no better than a map." in text
    assert "Of the checks alone, what was accepted lets about 2 % of clean images fail" in text
    meaning = dict(zip(("trust", "caution", "reject"), table_rows(text, "verdicts")[1:], strict=True))
    assert [("the network was no better than a map" in row[-1]) for row in meaning.values()] == [
        False,
        True,
        False,
    ]


@pytest.fixture
def text(tmp_path):
    (tmp_path / "sub-02.html").write_text("")
    return write_group_report(report(), tmp_path / "group.html").read_text(encoding="utf-8")


def test_every_visit_has_its_numbers_beside_the_baseline(text):
    rows = table_rows(text, "agreement")
    assert rows[2] == ["sub-01_ses-1", "0", "0.300", "20.50", "0.800", "0.400", "20.50", "n/a"]
    assert rows[4] == ["sub-02", "1", "0.320", "22.50", "0.820", "0.420", "22.50", "n/a"]


def test_mean_and_standard_deviation(text):
    last = table_rows(text, "agreement")[-1]
    assert last[0] == "mean ± SD"
    assert last[2:] == [
        *("0.312 ± 0.011", "21.75 ± 1.06", "0.812 ± 0.011"),
        *("0.413 ± 0.011", "21.75 ± 1.06", "n/a ± n/a"),
    ]


def test_who_was_held_out(text):
    assert table_rows(text, "folds")[1:] == [
        ["0", "1", "sub-01_ses-1, sub-01_ses-2", "unet 412"],
        ["1", "1", "sub-02", "unet 412"],
    ]


def test_what_was_synthesized_and_by_whom(text):
    assert table_rows(text, "synthesized")[1:] == [
        ["sub-02", "yes", "fold 1, which never saw the participant", "sub-02/anat/x_FLAIR.nii.gz"],
        ["sub-03", "no", "the mean of all folds", "sub-03/anat/y_FLAIR.nii.gz"],
    ]


def test_only_pages_that_are_there_are_linked(text):
    assert 'href="sub-02.html"' in text
    assert "sub-03.html" not in text


def test_skipped_visits_have_reason_and_hint(text):
    assert table_rows(text, "skipped")[1:] == [["sub-09", "no T1w", "name another --reference"]]


def test_visits_that_were_predicted_are_not_left_out_and_each_counts_once(tmp_path):
    skipped = [("sub-09", "no T1w", "a"), ("sub-09", "no T2w", "b")]
    dropped = [("sub-02", "FLAIR not learned from: moved", "c")]
    text = write_group_report(report(skipped=skipped, dropped=dropped), tmp_path / "group.html").read_text("utf-8")
    assert "1 visit was left out" in text
    assert [row[0] for row in table_rows(text, "skipped")[1:]] == ["sub-09", "sub-09"]
    assert table_rows(text, "dropped")[1:] == [["sub-02", "FLAIR not learned from: moved", "c"]]
    assert "<h2>Predicted, but not learned from, or without a source</h2>" in text
    alone = write_group_report(report(skipped=[], dropped=dropped), tmp_path / "group.html").read_text("utf-8")
    assert "left out" not in alone
    assert 'class="status look"' in alone


def test_the_summary_compares_with_the_baseline(text):
    assert "<h1>FLAIR from T1w, T2w</h1>" in text
    assert "2 images were synthesized, 1 of them for participants outside the training set." in text
    assert "Mean absolute error of unet on people it never saw: 0.312, 24 % below floor." in text
    assert "1 visit was left out" in text


def test_only_visits_that_all_models_predicted_are_compared(tmp_path):
    """Else a hard visit that the floor never saw would make the network the worse one."""
    rows = report().rows
    lone = [
        {**rows[0], "visit": f"{label}_ses-3", "participant": label, "mae": 3.0} for label in ("sub-01", "sub-07")
    ]
    path = tmp_path / "group.html"
    text = write_group_report(report(rows=[*rows, *lone], skipped=()), path).read_text(encoding="utf-8")
    said = "never saw: 1.508; on the 3 of 5 visits that all models predicted 0.312, 24 % below floor."
    assert said in text
    assert 'class="status good"' in text
    last = table_rows(text, "agreement")[-1]
    assert (last[2], last[5]) == ("0.312 ± 0.011", "0.413 ± 0.011")
    errors = [row[1:] for row in table_rows(text, "participants") if row[0] == "MAE"]
    assert errors == [["0.305", "0.405"], ["0.320", "0.420"], ["3.000", "n/a"]]
    assert re.findall("<summary>(.*?)</summary>", text) == ["sub-01, mean of 2 visits", "sub-02", "sub-07"]


def test_a_network_that_a_baseline_beats_is_not_praised(tmp_path):
    path = tmp_path / "group.html"
    better = write_group_report(report(skipped=()), path).read_text(encoding="utf-8")
    assert 'class="status good"' in better
    turned = ("floor", "unet")
    worse = write_group_report(report(skipped=(), columns=turned), path).read_text(encoding="utf-8")
    assert "of floor on people it never saw" in worse
    assert 'class="status look"' in worse


def test_the_plan_is_listed(text):
    assert re.search(r"<dt>channels</dt><dd>16, 32</dd>", text)
    assert re.search(r"<dt>max steps</dt><dd>n/a</dd>", text)


def test_a_bundle_applied_to_visits_without_target_has_no_table(tmp_path):
    written = write_group_report(report(rows=[], summary={}, skipped=[]), tmp_path / "group.html")
    page = written.read_text(encoding="utf-8")
    assert not re.search('id="(agreement|measures|participants|comparison)"', page)
    assert "Mean absolute error" not in page
    assert 'class="status good"' in page


def test_text_is_escaped(tmp_path):
    evil = "<b>&"
    page = write_group_report(
        report(plan={evil: evil}, skipped=[(evil, evil, evil)], methods=evil), tmp_path / "group.html"
    ).read_text(encoding="utf-8")
    assert "<b>" not in page
    assert page.count("&lt;b&gt;&amp;") == 6


def test_people_whom_a_bundle_does_not_know_were_held_out_by_no_fold(tmp_path):
    rows = [
        {
            "visit": "sub-01",
            "participant": "sub-01",
            "fold": None,
            "model": "unet",
            "mae": 0.3,
            "psnr": 20.0,
            "ssim": 0.8,
        }
    ]
    page = write_group_report(report(rows=rows, columns=["unet"]), tmp_path / "group.html").read_text(
        encoding="utf-8"
    )
    assert 'id="folds"' not in page
    assert table_rows(page, "agreement")[2] == ["sub-01", "n/a", "0.300", "20.00", "0.800"]
    assert table_rows(page, "agreement")[-1][2:] == ["0.300 ± n/a", "20.00 ± n/a", "0.800 ± n/a"]


def test_rivals_are_listed_with_their_uncertainty(tmp_path):
    row = {"rival": "floor", "n": 8, "mae_model": 0.3, "mae_rival": 0.4, "difference": -0.1}
    sure = {**row, "low": -0.15, "high": -0.05, "p": 0.0078125, "note": None}
    unsure = {**row, "rival": "forest", "n": 1, "low": None, "high": None, "p": None, "note": "n too small: 1"}
    page = write_group_report(report(comparison=[sure, unsure]), tmp_path / "group.html").read_text(
        encoding="utf-8"
    )
    assert table_rows(page, "comparison")[1:] == [
        ["floor", "8", "0.300", "0.400", "-0.100", "-0.150 … -0.050", "0.0078"],
        ["forest", "1", "0.300", "0.400", "-0.100", "n/a … n/a", "n too small: 1"],
    ]
    assert "below 0, unet is better" in page


def test_every_measure_has_a_mean_and_an_interval_of_each_model(text):
    assert [name for name, *_ in MEASURES] == [
        name for name in (*MEASURED, *INTERVAL_MEASURED) if name != "data_range"
    ]
    assert table_rows(text, "measures") == [
        ["Measure", "Better", "unetn = 2", "floorn = 2"],
        ["MAE", "lower", "0.3130.305 … 0.320", "0.4130.405 … 0.420"],
        ["SSIM", "higher", "0.810n = 1", "n/a"],
    ]
    assert "such as what its intervals cover, is over all visits" in text


def test_a_mean_over_other_people_says_how_many(tmp_path):
    summary = {
        "mae": {"unet": Interval(2, 0.3, 0.2, 0.4), "floor": Interval(2, 0.4, 0.3, 0.5)},
        "mae_fluid": {"unet": Interval(2, 0.3, 0.2, 0.4), "floor": Interval(2, 0.4, 0.3, 0.5)},
        "coverage": {"unet": Interval(5, 0.9, 0.8, 0.95)},
    }
    text = write_group_report(report(summary=summary), tmp_path / "group.html").read_text(encoding="utf-8")
    _, _, fluid, coverage = table_rows(text, "measures")
    assert fluid[2:] == ["0.3000.200 … 0.400", "0.4000.300 … 0.500"]
    assert coverage[2:] == ["0.9000.800 … 0.950, n = 5", "n/a"]


def test_a_participant_has_a_table_of_all_models_and_visits_are_averaged(text):
    assert table_rows(text, "participants") == [
        ["Measure", "unet", "floor"],
        ["MAE", "0.305", "0.405"],
        ["SSIM", "0.805", "n/a"],
        ["Measure", "unet", "floor"],
        ["MAE", "0.320", "0.420"],
        ["SSIM", "0.820", "n/a"],
    ]
    assert re.findall("<summary>(.*?)</summary>", text) == ["sub-01, mean of 2 visits", "sub-02"]


def test_a_prediction_says_which_sources_it_lacked(tmp_path):
    item = {"visit": "sub-04", "path": "x", "in_training_set": True, "fold": 0, "missing": ("T2w", "PDw")}
    text = write_group_report(report(predictions=[item]), tmp_path / "group.html").read_text(encoding="utf-8")
    said = "fold 0, which never saw the participant; without T2w, PDw"
    assert table_rows(text, "synthesized")[1:] == [["sub-04", "yes", said, "x"]]


def test_errors_of_a_ct_are_hounsfield_units_and_the_dataset_is_named(tmp_path):
    hounsfield = report(
        plan={"sources": ("T1w",), "target": "ct"},
        dataset="SynthPrep derivatives of painted heads",
        summary={
            "mae": {"unet": Interval(2, 31.26, 30, 32)},
            "mae_bone": {"unet": Interval(2, 101.26, 90.04, 120)},
            "mean_air": {"unet": Interval(2, -998.26, -1003, -990)},
        },
        rows=[{**row, "mae": 100 * row["mae"]} for row in report().rows],
    )
    text = write_group_report(hounsfield, tmp_path / "group.html").read_text(encoding="utf-8")
    cells = {row[0]: row[2] for row in table_rows(text, "measures")[1:]}
    assert cells["MAE in bone"] == "101.390.0 … 120.0"
    assert cells["Mean HU of air"].startswith("-998.3")
    assert table_rows(text, "agreement")[2][2] == "30.0"
    assert "on people it never saw: 31.2 HU, 24 % below floor." in text
    assert "Errors are in HU, inside the head and 10 mm around it" in text
    assert "Dataset: SynthPrep derivatives of painted heads." in text
    assert "normalized units" not in text
