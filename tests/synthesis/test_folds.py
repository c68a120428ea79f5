"""Folds that are used again."""

import dataclasses

import pytest

from bidsapp.errors import DataError, NoInputError
from bidsapp.records import Identity
from bidsapp.synthesis.folds import Fold, make_folds, read_folds
from bidsapp.synthesis.splits import Split, write_splits


@pytest.fixture
def table(tmp_path):
    """Return a function that writes lines of a table."""

    def table(*lines):
        path = tmp_path / "folds.tsv"
        path.write_text("\n".join(line.replace(" ", "\t") for line in lines) + "\n")
        return path

    return table


def test_the_splits_of_a_bundle_give_its_folds_again(pairs, tmp_path):
    folds = make_folds(pairs, leave_one_out=True, seed=3)
    splits = [
        Split(f"{participant}_ses-{session}", participant, fold.number, True, "")
        for fold in folds
        for participant in fold.held_out
        for session in "AB"
    ]
    write_splits(tmp_path / "splits.tsv", splits)
    assert read_folds(tmp_path / "splits.tsv", pairs) == folds


def test_labels_may_lack_their_prefix_and_the_column_be_that_of_bids(pairs, table):
    path = table("age participant_id fold", "9 01 0", "9 sub-02 1", "9 03 1")
    assert read_folds(path, pairs) == (Fold(0, frozenset({"sub-01"})), Fold(1, frozenset({"sub-02", "sub-03"})))


def test_a_participant_without_a_fold_is_named(pairs, table):
    with pytest.raises(DataError, match="has no fold for sub-02, sub-03"):
        read_folds(table("participant fold", "sub-01 0", "sub-04 1"), pairs)


def test_participants_who_are_not_there_are_named_and_their_fold_is_dropped(pairs, table, caplog):
    path = table("participant fold", "sub-01 0", "sub-09 1", "sub-02 2", "sub-03 2", "sub-04 0")
    folds = read_folds(path, pairs)
    assert [(fold.number, sorted(fold.held_out)) for fold in folds] == [(0, ["sub-01"]), (1, ["sub-02", "sub-03"])]
    assert "not learned from now: sub-04, sub-09" in caplog.text  # sub-04 has no target


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("visit fold", "sub-01 0"), "line 2: no participant"),
        (("participant fold", "sub-01 0", "sub-02 first"), "line 3: no participant with the number"),
        (("participant fold", "sub-01 0", "sub-01 1"), "line 3: sub-01 is in two folds"),
        (("participant fold", "sub-01 4", "sub-02 4", "sub-03 4"), r"leaves 1 fold\(s\)"),
    ],
)
def test_tables_that_are_none(pairs, table, lines, said):
    with pytest.raises(DataError, match=said):
        read_folds(table(*lines), pairs)


def test_a_file_that_is_not_there(pairs, tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_folds(tmp_path / "none.tsv", [dataclasses.replace(pair) for pair in pairs])


def people(pairs, number):
    return [dataclasses.replace(pairs[0], participant=f"sub-{n:02d}", fingerprint="") for n in range(number)]


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_alike_in_a_group(pairs, seed):
    many = people(pairs, 15)
    strata = {pair.participant: "patient" if n < 5 else "control" for n, pair in enumerate(many)}
    folds = make_folds(many, leave_one_out=False, seed=seed, strata=strata)
    patients = [sum(strata[participant] == "patient" for participant in fold.held_out) for fold in folds]
    assert patients == [1] * 5
    assert [len(fold.held_out) for fold in folds] == [3] * 5
    assert sorted(p for fold in folds for p in fold.held_out) == sorted(strata)


def test_folds_are_alike_in_a_number_and_differ_by_seed(pairs):
    many = people(pairs, 20)
    ages = {pair.participant: str(2 * n) for n, pair in enumerate(many)}
    drawn = [make_folds(many, leave_one_out=False, seed=seed, strata=ages) for seed in (0, 0)]
    assert drawn[0] == drawn[1]
    means = [sum(float(ages[p]) for p in fold.held_out) / len(fold.held_out) for fold in drawn[0]]
    assert max(means) - min(means) <= 8  # of ages from 0 to 38
    groups = {pair.participant: "one" for pair in many}
    assert make_folds(many, leave_one_out=False, seed=0, strata=groups) != make_folds(
        many, leave_one_out=False, seed=1, strata=groups
    )


def test_those_of_unknown_value_are_dealt_out_too(pairs):
    many = people(pairs, 10)
    folds = make_folds(many, leave_one_out=False, seed=0, strata={"sub-00": "9", "sub-01": "nan"})
    assert [len(fold.held_out) for fold in folds] == [2] * 5


def known_by(pairs, *fingerprints):
    """Return a pair of one participant for each fingerprint."""
    return [
        dataclasses.replace(pairs[0], participant=f"sub-{number}", fingerprint=fingerprint)
        for number, fingerprint in enumerate(fingerprints)
    ]


@pytest.mark.parametrize("leave_one_out", [False, True])
@pytest.mark.parametrize("strata", [None, {"sub-0": "1", "sub-1": "2", "sub-5": "3"}])
def test_who_shares_a_scan_is_held_out_together(pairs, caplog, strata, leave_one_out):
    many = known_by(pairs, "a", "b", "c", "", "e", "a", "")
    many.append(dataclasses.replace(many[1], fingerprint="e"))  # another visit of theirs
    folds = make_folds(many, leave_one_out=leave_one_out, seed=0, strata=strata)
    assert [fold.number for fold in folds] == [0, 1, 2, 3, 4]
    assert sorted(sorted(fold.held_out) for fold in folds) == [
        ["sub-0", "sub-5"],
        ["sub-1", "sub-4"],
        ["sub-2"],
        ["sub-3"],
        ["sub-6"],
    ]
    assert caplog.messages == [
        f"{who} have the same scan, voxel by voxel: held out together, as one person"
        for who in ("sub-0, sub-5", "sub-1, sub-4")
    ]


def test_who_shares_no_scan_is_one_person_by_way_of_another(pairs):
    between = [Identity("v", "sub-9", fingerprint) for fingerprint in "ac"]
    folds = make_folds(known_by(pairs, "a", "b", "c"), leave_one_out=True, seed=0, everyone=between)
    assert {fold.held_out for fold in folds} == {frozenset({"sub-0", "sub-2"}), frozenset({"sub-1"})}


def test_one_person_under_two_labels_cannot_be_split(pairs, caplog):
    with pytest.raises(NoInputError, match=r"^1 participant\(s\) have both source and target"):
        make_folds(known_by(pairs, "a", "a"), leave_one_out=True, seed=0)
    assert "sub-0, sub-1 have the same scan" in caplog.text


def test_a_table_that_splits_one_person_is_refused(pairs, table):
    many = known_by(pairs, "a", "b", "a")
    with pytest.raises(DataError, match="sub-0, sub-2 have the same scan, voxel by voxel, but not the same fold"):
        read_folds(table("participant fold", "sub-0 0", "sub-1 1", "sub-2 1"), many)
    folds = read_folds(table("participant fold", "sub-0 0", "sub-1 1", "sub-2 0"), many)
    assert [sorted(fold.held_out) for fold in folds] == [["sub-0", "sub-2"], ["sub-1"]]
    left = read_folds(table("participant fold", "sub-0 0", "sub-1 1", "sub-2 1"), many[:2], many)
    assert [sorted(fold.held_out) for fold in left] == [["sub-0"], ["sub-1"]]
