"""The table that says which source is whose."""

from pathlib import Path

import pytest

from bidsapp.errors import UsageError
from bidsapp.formats.mapping import Item, check_items, label_of, numbered, read_mapping, write_mapping

HEAD = "source\tparticipant\tsession\tcontrast"


def table(folder, *rows, head=HEAD):
    path = folder / "map.tsv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_rows_become_goals(tmp_path):
    head = HEAD + "\tacq\tce\trun\tvolume\thandedness\tplane"
    rows = (
        "a.nii\tsub-01\tses-A\tT1w\tmprage\tgadolinium\t2\t1\tradiological\tsagittal",
        "b\t02\tn/a\tct\tn/a\tn/a\tn/a\tn/a\tn/a\tn/a",
    )
    first, second = read_mapping(table(tmp_path, *rows, head=head), Path("/src"))
    assert first.goal == "sub-01/ses-A/anat/sub-01_ses-A_acq-mprage_ce-gadolinium_run-2_T1w.nii.gz"
    assert (first.volume, first.handedness, first.plane) == (1, "radiological", "sagittal")
    assert second.goal == "sub-02/ct/sub-02_ct.nii.gz"
    assert second.source == Path("/src/b")


def test_a_table_that_was_written_is_read_to_the_same(tmp_path):
    items = [
        Item(tmp_path / "x/a.nii", "01", "A", "T1w", {"acq": "a"}, 3, "neurological"),
        Item(tmp_path / "b#3", "02", None, "FLAIR"),
    ]
    (tmp_path / "map.tsv").write_text(write_mapping(items, tmp_path))
    assert read_mapping(tmp_path / "map.tsv", tmp_path) == items


@pytest.mark.parametrize(
    ("rows", "head", "reason"),
    [
        ([], HEAD, "has no row"),
        (["a\t01\tn/a"], "source\tparticipant\tsession", "no column contrast"),
        (["a\t01\tn/a\tT1w\tx"], HEAD + "\tcolour", "unknown column colour"),
        (["a\t0_1\tn/a\tT1w"], HEAD, "participant '0_1'"),
        (["a\t01\tx-y\tT1w"], HEAD, "session 'x-y'"),
        (["a\t01\tn/a\tT1"], HEAD, "unknown contrast T1"),
        (["a\tn/a\tn/a\tT1w"], HEAD, "no participant"),
        (["a\t01\tn/a\tT1w", "b\t01\tn/a\tT1w"], HEAD, "would both be sub-01/anat/sub-01_T1w.nii.gz"),
        (["a\t01\tn/a\tT1w", "a\t01\tn/a\tT1w"], HEAD, "would both be"),
        (["../a\t01\tn/a\tT1w"], HEAD, "inside the source folder"),
        (["/a\t01\tn/a\tT1w"], HEAD, "inside the source folder"),
        (["a\t01\tn/a\tT1w\tx"], HEAD + "\tvolume", "whole numbers"),
        (["a\t01\tn/a\tT1w\t²"], HEAD + "\tvolume", "whole numbers"),
        (["a\t01\tA\tT1w", "./a\t01\tB\tT1w"], HEAD, "a would be both sub-01/ses-A/anat/sub-01_ses-A_T1w"),
        (["a\t01\tn/a\tT1w\t0", "a\t01\tA\tT1w\tn/a"], HEAD + "\tvolume", "a would be both"),
        (["a;01;n/a;T1w"], HEAD.replace("\t", ";"), "columns are separated by semicolons"),
        (["a,01,n/a,T1w"], HEAD.replace("\t", ","), "columns are separated by commas"),
        (["a\t01\tn/a\tT1w\tx"], HEAD, "line 2: more cells than columns"),
        (["a\t01\tn/a\tT1w\tx"], HEAD + "\t", "line 2: more cells than columns"),
        (["a\t01\tn/a\tT1w\tA"], HEAD + "\tSession", "two columns session"),
        (["", "a\t01\tn/a\tT1w", "\t\t", "b\t0_1\tn/a\tT1w"], HEAD, "line 5: participant '0_1'"),
        (["a\t01\tn/a\tT1w\tboth"], HEAD + "\thandedness", "handedness both"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path, rows, head, reason):
    with pytest.raises(UsageError, match=reason):
        read_mapping(table(tmp_path, *rows, head=head), Path("/src"))


def test_what_a_spreadsheet_leaves_behind_is_passed_over(tmp_path):
    rows = ("a.nii\t01\tn/a\tT1w\t\t", "\t\t\t\t\t", "")
    path = table(tmp_path, *rows, head="Source\tPARTICIPANT\tsession \tContrast\t\t")
    expected = [Item(Path("/src/a.nii"), "01", None, "T1w")]
    assert read_mapping(path, Path("/src")) == expected
    path.write_bytes(path.read_text().replace("\n", "\r\n").encode("utf-16"))
    assert read_mapping(path, Path("/src")) == expected


def test_another_encoding_is_named(tmp_path):
    path = tmp_path / "map.tsv"
    path.write_bytes(f"{HEAD}\nMüller.nii\t01\tn/a\tT1w\n".encode("latin-1"))
    with pytest.raises(UsageError, match="it is not in UTF-8"):
        read_mapping(path, Path("/src"))


def test_nobody_has_no_label():
    with pytest.raises(UsageError, match="the participant has no label"):
        check_items([Item(Path("a"), "", None, "T1w")])


def test_images_of_one_name_get_runs_in_the_order_of_their_sources():
    items = [Item(Path(name), "01", None, "T1w") for name in ("b", "a", "c")] + [
        Item(Path("d"), "01", None, "T2w")
    ]
    assert [(i.source.name, i.entities.get("run")) for i in numbered(items)] == [
        ("d", None),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
    ]


def test_labels_are_letters_and_digits():
    assert label_of("002_S_0295") == "002S0295"
