"""The derivatives' table of participants."""

import json

import pytest

from bidsapp.bids.participants import column_of, update_participants
from bidsapp.errors import UsageError


@pytest.fixture
def folders(tmp_path):
    """A raw dataset that knows three people, and derivatives of two of them and a stranger."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    table = "participant_id\tage\tsex\nsub-01\t30\tF\nsub-02\tn/a\tM\nsub-09\t50\tF\n"
    (raw / "participants.tsv").write_text(table)
    for label in ("01", "02", "03"):
        (out / f"sub-{label}").mkdir(parents=True)
    (out / "sub-01.html").write_text("")
    return raw, out


def test_only_the_column_that_was_asked_for_is_carried_along(folders):
    raw, out = folders
    update_participants(out, raw)
    assert (out / "participants.tsv").read_text() == "participant_id\nsub-01\nsub-02\nsub-03\n"
    update_participants(out, raw, "age")
    assert (out / "participants.tsv").read_text() == "participant_id\tage\nsub-01\t30\nsub-02\tn/a\nsub-03\tn/a\n"
    assert column_of(out, "age") == {"sub-01": "30", "sub-02": "n/a", "sub-03": "n/a"}


def test_columns_of_earlier_runs_stay(folders):
    raw, out = folders
    update_participants(out, raw, "age")
    update_participants(out, raw, "sex")
    update_participants(out)
    assert (out / "participants.tsv").read_text().splitlines()[:2] == ["participant_id\tage\tsex", "sub-01\t30\tF"]


def test_a_column_brings_what_explains_it(folders):
    raw, out = folders
    (raw / "participants.json").write_text('{"age": {"Units": "year"}, "sex": {"Levels": {"F": "female"}}}')
    update_participants(out, raw, "age")
    (raw / "participants.json").write_text("{")
    update_participants(out, raw, "sex")
    assert json.loads((out / "participants.json").read_text()) == {
        "age": {"Units": "year"},
        "sex": {"Description": "Copied from participants.tsv of the raw dataset"},
    }


def test_a_number_that_is_none_in_what_explains_a_column_costs_itself_only(folders):
    raw, out = folders
    said = '{"age": {"Units": "year", "Minimum": NaN, "Maximum": 1e999, "Step": 0.5}}'
    (raw / "participants.json").write_text(said)
    update_participants(out, raw, "age")
    explained = {"Units": "year", "Minimum": None, "Maximum": None, "Step": 0.5}
    assert json.loads((out / "participants.json").read_text()) == {"age": explained}


def test_a_column_that_nobody_carried_along_is_named(folders):
    raw, out = folders
    update_participants(out, raw, "age")
    with pytest.raises(UsageError, match="no column sex; there is age") as raised:
        column_of(out, "sex")
    assert "participant level" in raised.value.hint
    with pytest.raises(UsageError, match="there is none"):
        column_of(out / "sub-01", "sex")


def test_labels_of_the_raw_table_may_lack_their_prefix(folders):
    raw, out = folders
    (raw / "participants.tsv").write_text("participant_id\tage\n01\t30\nsub-02\t40\n")
    update_participants(out, raw, "age")
    assert column_of(out, "age") == {"sub-01": "30", "sub-02": "40", "sub-03": "n/a"}
