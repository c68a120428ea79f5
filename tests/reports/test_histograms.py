import json

import pytest

from bidsapp.reports.histograms import MAX_OTHERS, histogram_panes, nice_ticks, read_curves
from bidsapp.reports.records import Curve

SAID = {"Contrast": "T1w", "Method": "robust", "Offset": 5, "Scale": 2, "Low": 0, "High": 9, "Density": [0.1, 0.2]}


def test_only_whole_histograms_are_read(tmp_path):
    folder = tmp_path / "sub-01/figures"
    folder.mkdir(parents=True)
    stem = "sub-01_ses-A_desc-histogram_"
    (folder / f"{stem}T1w.json").write_text(json.dumps(SAID))
    (folder / f".{stem}T1w.json.x7").write_text("{")  # another process is writing it
    for number, bad in enumerate(("{", "[]", json.dumps({**SAID, "Scale": 0}), json.dumps({**SAID, "Low": None}))):
        (folder / f"{stem}bad{number}.json").write_text(bad)
    (folder / f"{stem}empty.json").write_text(json.dumps({"Contrast": "T1w", "Method": "robust"}))
    (found,) = read_curves(tmp_path, "sub-01_ses-A")
    assert (found.visit, found.contrast, found.scale, found.density) == ("sub-01_ses-A", "T1w", 2.0, (0.1, 0.2))


def test_of_many_visits_a_part_is_read_and_the_visit_itself_always(tmp_path):
    for n in range(500):
        file = tmp_path / f"sub-{n:03}/figures/sub-{n:03}_desc-histogram_T1w.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(SAID))
    found = [curve.visit for curve in read_curves(tmp_path, "sub-251")]
    assert "sub-251" in found
    assert MAX_OTHERS < len(found) <= 2 * MAX_OTHERS + 1
    assert found == sorted(found)
    assert min(int(label[4:]) for label in found) == 0
    assert max(int(label[4:]) for label in found) > 480


def test_a_thousand_visits_are_thinned_and_counted():
    curves = [Curve(f"sub-{n:04}", "T1w", "robust", 0.0, 1.0, 0.0, 9.0, (0.1,) * 80) for n in range(1000)]
    found = histogram_panes(curves, "sub-0500", "T1w")
    assert found["others"] == 999
    assert found["shown"] <= MAX_OTHERS
    assert len(str(found)) < 100_000
    assert histogram_panes(curves, "sub-0500", "FLAIR") is None


@pytest.mark.parametrize(
    ("ends", "ticks"), [((0, 10), [0, 2, 4, 6, 8, 10]), ((-2.1, 3.3), [-2, 0, 2]), ((0, 1234), [0, 500, 1000])]
)
def test_ticks_are_round(ends, ticks):
    assert nice_ticks(*ends) == ticks
