"""Converting: each image whole or not at all, nothing twice, nothing overwritten unasked, and said where from."""

import csv
import hashlib
import json
import multiprocessing

import nibabel as nib
import numpy as np
import pytest

from bidsapp.cli.bidsify import main
from bidsapp.formats import conversion
from bidsapp.formats.dataset import add_provenance, begin_dataset, finish_dataset, read_provenance
from bidsapp.formats.mapping import Item
from bidsapp.formats.volume import ReadOptions

from ..fabricated import ct_head, image, write_analyze, write_metaimage, write_nifti

HEAD = "source\tparticipant\tsession\tcontrast"


def provenance(root):
    with (root / "sourcedata/provenance.tsv").open() as file:
        return {row["filename"]: row for row in csv.DictReader(file, delimiter="\t")}


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def places(tmp_path):
    source = tmp_path / "source"
    write_nifti(source / "a.nii.gz", *image(seed=1))
    write_metaimage(source / "b.mha", *image(seed=2))
    write_nifti(source / "c.nii", *ct_head())
    return source, tmp_path / "bids", tmp_path / "map.tsv"


def bidsify(places, *rows, words=()):
    source, root, table = places
    table.write_text("\n".join([HEAD, *rows]) + "\n")
    return main([str(source), str(root), "--mapping", str(table), *words])


A, B, C = "a.nii.gz\t01\tA\tT1w", "b.mha\t01\tA\tFLAIR", "c.nii\t02\tA\tct"


def test_a_dataset(places):
    source, root, _ = places
    assert bidsify(places, A, B, C, words=["--name", "Mine"]) == 0
    assert sorted(tree(root)) == [
        ".bidsignore",
        "README.md",
        "dataset_description.json",
        "participants.tsv",
        "sourcedata/provenance.lock",
        "sourcedata/provenance.tsv",
        *sorted(
            f"sub-0{n}/ses-A/{kind}/sub-0{n}_ses-A_{suffix}.{ending}"
            for n, kind, suffix in ((1, "anat", "T1w"), (1, "anat", "FLAIR"), (2, "ct", "ct"))
            for ending in ("json", "nii.gz")
        ),
    ]
    assert (root / "participants.tsv").read_text() == "participant_id\nsub-01\nsub-02\n"
    assert (root / ".bidsignore").read_text() == "ct\n*_ct.*\n"
    assert json.loads((root / "dataset_description.json").read_text())["Name"] == "Mine"
    row = provenance(root)["sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz"]
    assert (row["source"], row["format"]) == ("a.nii.gz", "NIfTI")
    assert row["sha256"] == hashlib.sha256((source / "a.nii.gz").read_bytes()).hexdigest()
    made = nib.load(root / "sub-01/ses-A/anat/sub-01_ses-A_FLAIR.nii.gz")
    assert made.get_data_dtype() == np.int16
    assert (int(made.header["qform_code"]), int(made.header["sform_code"])) == (1, 1)
    assert b"Jane" not in b"".join(tree(root).values())


def test_running_again_adds_only_what_is_new(places, capsys):
    root = places[1]
    assert bidsify(places, A) == 0
    before = tree(root)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*.nii.gz")}
    assert bidsify(places, A, B) == 0
    assert "1 converted, 1 there already, 0 refused" in capsys.readouterr().err
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    after = tree(root)
    assert {name for name in after if after[name] != before.get(name)} == {
        "sourcedata/provenance.tsv",
        "sub-01/ses-A/anat/sub-01_ses-A_FLAIR.json",
        "sub-01/ses-A/anat/sub-01_ses-A_FLAIR.nii.gz",
    }


def test_columns_and_rows_of_participants_stay(places):
    root = places[1]
    assert bidsify(places, A) == 0
    (root / "participants.tsv").write_text("participant_id\tage\nsub-01\t33\n")
    assert bidsify(places, A, C) == 0
    assert (root / "participants.tsv").read_text() == "participant_id\tage\nsub-01\t33\nsub-02\tn/a\n"


def test_participants_without_a_folder_yet_stay(places):
    root = places[1]
    assert bidsify(places, A) == 0
    (root / "participants.tsv").write_text("participant_id\tage\nsub-01\t33\nsub-09\t44\n")
    assert bidsify(places, A, C) == 0
    rows = "participant_id\tage\nsub-01\t33\nsub-02\tn/a\nsub-09\t44\n"
    assert (root / "participants.tsv").read_text() == rows


@pytest.mark.parametrize("name", ["participants.tsv", ".bidsignore", "sourcedata/provenance.tsv"])
def test_a_file_in_another_encoding_is_told_before_anything_is_converted(places, capsys, name):
    root = places[1]
    assert bidsify(places, A) == 0
    (root / name).write_bytes("filename\nMüller\n".encode("latin-1"))
    before = tree(root)
    assert bidsify(places, A, C) == 65
    assert f"{root / name}: cannot be read: it is not in UTF-8 (byte 10)" in capsys.readouterr().err
    assert tree(root) == before


def test_a_job_keeps_the_rows_of_another_that_ran_meanwhile(places):
    source, root, _ = places
    items = [Item(source / name, label, "A", "T1w") for name, label in (("a.nii.gz", "01"), ("b.mha", "02"))]

    def meanwhile(number, _goal):
        if number == 1:
            conversion.convert([Item(source / "c.nii", "03", "A", "ct")], source, root, ReadOptions())

    conversion.convert(items, source, root, ReadOptions(), on_item=meanwhile)
    assert [row["source"] for row in provenance(root).values()] == ["a.nii.gz", "b.mha", "c.nii"]
    assert len(conversion.convert(items, source, root, ReadOptions()).unchanged) == 2


JOBS, ROUNDS = 3, 5


def add_rows(root, job, start):
    start.wait()
    begin_dataset(root, f"of job {job}", "")
    for number in range(ROUNDS):
        label = f"{job}x{number}"
        add_provenance(root, {"filename": label, "source": label})
        finish_dataset(root, [Item(root, label, None, "T1w", about={"site": str(job)})])


def test_jobs_at_once_lose_no_row(tmp_path):
    context = multiprocessing.get_context("fork")
    start = context.Barrier(JOBS)
    jobs = [context.Process(target=add_rows, args=(tmp_path / "bids", job, start)) for job in range(JOBS)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    labels = {f"{job}x{number}" for job in range(JOBS) for number in range(ROUNDS)}
    assert set(read_provenance(tmp_path / "bids")) == labels
    table = (tmp_path / "bids/participants.tsv").read_text().splitlines()
    assert sorted(table[1:]) == sorted(f"sub-{label}\t{label[0]}" for label in labels)


def test_a_job_may_find_a_dataset_that_another_begins(places):
    (places[1] / "sourcedata").mkdir(parents=True)
    (places[1] / "sourcedata/provenance.lock").touch()
    assert bidsify(places, A) == 0
    assert (places[1] / "dataset_description.json").is_file()


def test_another_source_does_not_overwrite_unasked(places, capsys):
    source, root, _ = places
    assert bidsify(places, A) == 0
    before = tree(root)
    write_nifti(source / "a.nii.gz", *image(seed=9))
    assert bidsify(places, A) == 73
    assert "is there already, made from a.nii.gz" in capsys.readouterr().err
    assert tree(root) == before
    assert bidsify(places, A, words=["--overwrite"]) == 0
    stored = np.asarray(nib.load(root / "sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz").dataobj)
    assert np.array_equal(stored, image(seed=9)[0])


def test_other_options_do_not_overwrite_unasked(places, capsys):
    assert bidsify(places, C) == 0
    assert bidsify(places, C, words=["--remove-table"]) == 73
    assert bidsify(places, C, words=["--remove-table", "--overwrite"]) == 0
    assert bidsify(places, C, words=["--remove-table"]) == 0
    assert "0 converted, 1 there already" in capsys.readouterr().err.splitlines()[-1]
    assert provenance(places[1])["sub-02/ses-A/ct/sub-02_ses-A_ct.nii.gz"]["options"] == "remove_table"


def test_options_for_one_format_leave_the_others_alone(places, capsys):
    source, root, _ = places
    assert bidsify(places, A, C) == 0
    write_analyze(source / "d.hdr", image(seed=4)[0])
    leaning = np.diag([3.0, 3.0, 3.0, 1.0])
    leaning[1, 2] = 1.0
    write_nifti(source / "e.nii", image(seed=6)[0], leaning)
    more = (A, C, "d.hdr\t03\tA\tT1w", "e.nii\t04\tA\tT1w")
    assert bidsify(places, *more, words=["--handedness", "radiological", "--tilt", "resample"]) == 0
    assert "2 converted, 2 there already" in capsys.readouterr().err
    assert [row["options"] for row in provenance(root).values()] == [
        *("n/a", "n/a"),
        *("handedness=radiological", "tilt=resample"),
    ]
    assert bidsify(places, *more, words=["--remove-table", "--handedness", "radiological"]) == 1
    said = capsys.readouterr().err
    assert (
        "sub-02_ses-A_ct.nii.gz is there already, made with no options, and now asked for with remove_table"
        in said
    )
    assert "sub-04_ses-A_T1w.nii.gz is there already, made with tilt=resample, and now asked for with none" in said
    assert "2 there already, 2 refused" in said


def test_an_image_is_not_stored_again_under_another_name(places, capsys):
    source, root, _ = places
    write_nifti(source / "a2.nii.gz", *image(seed=7))
    assert bidsify(places, A) == 0
    head, rows = HEAD + "\trun", (A + "\t1", "a2.nii.gz\t01\tA\tT1w\t2")
    places[2].write_text("\n".join([head, *rows]) + "\n")
    for words in ([], ["--overwrite"]):
        assert main([str(source), str(root), "--mapping", str(places[2]), *words]) == 1
    said = capsys.readouterr().err
    assert (
        "a.nii.gz: would be sub-01/ses-A/anat/sub-01_ses-A_run-1_T1w.nii.gz, but was converted as sub-01/" in said
    )
    made = [path.name for path in sorted(root.rglob("*.nii.gz"))]
    assert made == ["sub-01_ses-A_T1w.nii.gz", "sub-01_ses-A_run-2_T1w.nii.gz"]
    (root / "sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz").unlink()
    assert main([str(source), str(root), "--mapping", str(places[2])]) == 0


def test_a_visit_that_is_numbered_anew_is_not_mixed_with_what_is_there(places, capsys):
    """As ADNI's are, where a later download brings a visit in between."""
    source, root, _ = places
    write_nifti(source / "d.nii", *image(seed=4))
    assert bidsify(places, "a.nii.gz\t01\t1\tT1w", "b.mha\t01\t2\tT1w") == 0
    before = tree(root / "sub-01")
    rows = ("a.nii.gz\t01\t1\tT1w", "d.nii\t01\t2\tFLAIR", "b.mha\t01\t3\tT1w")
    for words, counts in (([], "1 converted, 1 there"), (["--overwrite"], "0 converted, 2 there")):
        assert bidsify(places, *rows, C, words=words) == 1
        said = capsys.readouterr().err
        assert f"{counts} already, 2 refused" in said
        assert (
            "d.nii: not converted, because b.mha would be sub-01/ses-3/anat/sub-01_ses-3_T1w.nii.gz, but was "
            "converted as sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz (visits would be mixed: delete"
        ) in said
    assert tree(root / "sub-01") == before
    (root / "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz").unlink()
    assert bidsify(places, *rows) == 0


def test_a_head_is_not_stored_again_as_somebody_else(places):
    source, root, _ = places
    mended = [row.replace("\t01\t", "\tA7\t") for row in (A, B)]
    assert bidsify(places, A, B) == 0
    assert bidsify(places, *mended) == 73
    assert not (root / "sub-A7").exists()
    write_nifti(source / "a.nii.gz", *image(seed=9))  # another head by the same name, as in another source folder
    assert bidsify(places, mended[0]) == 0


def test_a_damaged_image_at_the_goal_costs_only_its_item(places, capsys):
    root = places[1]
    assert bidsify(places, A) == 0
    for name in ("sub-02/ses-A/ct/sub-02_ses-A_ct.nii.gz", "sub-02/ses-A/ct/sub-02_ses-A_ct.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"damaged")
    assert bidsify(places, C, B) == 1
    assert "is there already, and is another image" in capsys.readouterr().err
    assert (root / "sub-01/ses-A/anat/sub-01_ses-A_FLAIR.nii.gz").is_file()


def test_where_writing_fails_the_provenance_stays(places, capsys, monkeypatch):
    source, root, _ = places
    assert bidsify(places, A) == 0
    before = provenance(root)
    write_nifti(source / "a.nii.gz", *image(seed=9))

    def full(_item, _volume, goal):
        raise OSError(28, "No space left on device", str(goal))

    monkeypatch.setattr(conversion, "_write", full)
    assert bidsify(places, A, words=["--overwrite"]) == 73
    monkeypatch.undo()
    assert bidsify(places, A, B) == 1
    assert provenance(root)["sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz"] in before.values()


def test_a_source_that_cannot_be_read_costs_only_itself(places, capsys):
    assert bidsify(places, A, f"{'x' * 300}\t02\tA\tT1w") == 1
    assert "xxx: File name too long (check permissions" in capsys.readouterr().err
    assert bidsify(places, f"{'x' * 300}\t02\tA\tT1w") == 74
    assert bidsify(places, f"a.nii.gz\t{'1' * 300}\tA\tT1w") == 73


def test_a_file_of_somebody_else_is_not_overwritten(places):
    root = places[1]
    assert bidsify(places, B) == 0
    write_nifti(root / "sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz", *image(seed=5))
    before = tree(root)
    assert bidsify(places, A) == 73
    assert tree(root) == before


def test_a_run_that_was_killed_goes_on(places, monkeypatch):
    root = places[1]

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(conversion, "add_provenance", killed)
    assert bidsify(places, A, B) == 130
    monkeypatch.undo()
    assert bidsify(places, A, B) == 0
    assert len(provenance(root)) == 2
    assert not [name for name in tree(root) if "/." in name]


def test_one_bad_source_costs_only_itself(places, capsys):
    (places[0] / "bad.nii").write_bytes(b"<html>")
    assert bidsify(places, A, "bad.nii\t03\tA\tT1w") == 1
    assert "1 converted, 0 there already, 1 refused" in capsys.readouterr().err
    assert not (places[1] / "sub-03").exists()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda source, root: root.mkdir() or (root / "x").write_text("y"), "is no BIDS dataset"),
        (
            lambda source, root: (
                root.mkdir() or (root / "dataset_description.json").write_text('{"DatasetType": "derivative"}')
            ),
            "is no raw dataset",
        ),
    ],
)
def test_only_a_raw_dataset_is_added_to(places, capsys, make, reason):
    make(*places[:2])
    assert bidsify(places, A) == 64
    assert reason in capsys.readouterr().err


def test_the_dataset_lies_outside_of_its_source(places, capsys):
    source, _, table = places
    assert bidsify((source, source / "bids", table), A) == 64
    assert "lies in the source folder" in capsys.readouterr().err


def test_an_unwritable_place_is_named(places, capsys):
    source, root, table = places
    root.write_text("a file")
    assert bidsify((source, root / "bids", table), A) == 73
    assert "[exit 73]" in capsys.readouterr().err
