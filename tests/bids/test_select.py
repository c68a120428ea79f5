"""Which images a run works on."""

import json
import logging
from pathlib import Path

import pytest

from bidsapp.bids.select import select
from bidsapp.errors import InvalidBidsError, NoInputError, NothingSelectedError, UsageError


def labels(selection):
    return [visit.label for visit in selection.visits]


def test_visits_with_the_reference_and_the_others_by_name_and_reason(dataset):
    selection = select(dataset())
    assert labels(selection) == ["sub-01_ses-1", "sub-01_ses-2", "sub-10_ses-1"]
    (skip,) = selection.skipped
    assert (skip.visit, skip.reason) == ("sub-02_ses-1", "no T1w (it has FLAIR)")


def test_derivatives_are_no_raw_dataset_unless_one_means_it(dataset):
    settings = dataset()
    description = settings.bids_dir / "dataset_description.json"
    description.write_text('{"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}')
    with pytest.raises(InvalidBidsError, match="a derivative dataset"):
        select(settings)
    assert len(select(dataset(skip_bids_validation=True)).visits) == 3


def test_first_in_bids_order_is_used_and_the_others_are_named(dataset, caplog):
    with caplog.at_level(logging.WARNING):
        first, second, _ = select(dataset()).visits
    assert first.scan("FLAIR").entities == {"acq": "a"}
    assert second.scan("T1w").entities == {"run": "1"}
    assert "sub-01_ses-1_acq-b_FLAIR.nii.gz" in caplog.text


def test_the_best_reference_is_used_where_that_is_asked_for(dataset, monkeypatch):
    monkeypatch.setattr("bidsapp.imaging.choice.best_image", lambda paths: len(paths) - 1)
    first, second, _ = select(dataset(reference_policy="best")).visits
    assert second.scan("T1w").entities == {"run": "2"}
    assert first.scan("FLAIR").entities == {"acq": "a"}  # the policy is about the reference


def test_images_that_are_not_used_are_named_with_the_reason(dataset, tmp_path):
    path = tmp_path / "filter.json"
    path.write_text(json.dumps({"flair": {"acquisition": "b"}}))
    settings = dataset(bids_filter_file=path)
    extra = settings.bids_dir / "sub-10/ses-1/anat"
    (extra / "sub-10_ses-1_T2w.nii.gz").touch()
    (extra / "sub-10_ses-1_foo-1_T1w.nii.gz").touch()
    said = {image.path.name: (image.visit, image.reason) for image in select(settings).unused}
    assert said == {
        "sub-01_ses-1_acq-a_FLAIR.nii.gz": ("sub-01_ses-1", "--bids-filter-file leaves it out"),
        "sub-01_ses-2_run-2_T1w.nii.gz": ("sub-01_ses-2", "sub-01_ses-2_run-1_T1w.nii.gz is used"),
        "sub-10_ses-1_T2w.nii.gz": ("sub-10_ses-1", "no T2w is asked for: --contrasts"),
        "sub-10_ses-1_foo-1_T1w.nii.gz": (
            "sub-10_ses-1",
            f"{extra / 'sub-10_ses-1_foo-1_T1w.nii.gz'}: BIDS has no foo- in names",
        ),
    }


def test_filter_file_decides(dataset, tmp_path):
    path = tmp_path / "filter.json"
    path.write_text(json.dumps({"flair": {"acquisition": "b"}, "t1w": {"session": "1"}}))
    selection = select(dataset(bids_filter_file=path))
    assert labels(selection) == ["sub-01_ses-1", "sub-10_ses-1"]
    assert selection.visits[0].scan("FLAIR").entities == {"acq": "b"}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('{"dwi": {}}', "unknown contrast dwi"),
        ('{"T1w": {"colour": "red"}}', "unknown entity colour"),
        ("[1]", "objects"),
        ("{", "cannot be read"),
    ],
)
def test_filter_file_that_cannot_be_used(dataset, tmp_path, content, word):
    path = tmp_path / "filter.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=word):
        select(dataset(bids_filter_file=path))


def test_labels_restrict_the_run(dataset):
    assert labels(select(dataset(participant_label=("01",), session_label=("2",)))) == ["sub-01_ses-2"]


def test_an_unknown_label_names_its_neighbours(dataset):
    with pytest.raises(NothingSelectedError, match=r"no participant 11 .*for example 1?0"):
        select(dataset(participant_label=("11",)))


def test_a_session_that_nobody_has_selects_nothing(dataset):
    with pytest.raises(NothingSelectedError, match="session-label"):
        select(dataset(session_label=("9",)))


def test_a_folder_that_is_no_dataset(dataset, tmp_path):
    (tmp_path / "raw/dataset_description.json").unlink()
    with pytest.raises(InvalidBidsError, match=r"dataset_description\.json"):
        select(dataset())
    assert len(select(dataset(skip_bids_validation=True)).visits) == 3


def test_a_dataset_without_participants(dataset, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NoInputError, match="no sub-"):
        select(dataset(bids_dir=empty, skip_bids_validation=True))
    with pytest.raises(NoInputError, match="no such folder"):
        select(dataset(bids_dir=tmp_path / "nowhere"))


def test_dangling_links_are_selected_so_that_the_header_check_names_them(dataset, tmp_path):
    link = tmp_path / "raw/sub-10/ses-1/anat/sub-10_ses-1_FLAIR.nii.gz"
    link.symlink_to(tmp_path / "annex")
    assert select(dataset()).visits[-1].scan("FLAIR").path == link


def add(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_every_entity_of_bids_is_carried_along(dataset, tmp_path):
    add(tmp_path / "raw", "sub-03/anat/sub-03_echo-1_part-mag_T1w.nii.gz")
    visit = next(v for v in select(dataset()).visits if v.subject == "03")
    assert visit.scan("T1w").entities == {"echo": "1", "part": "mag"}


def test_a_name_with_an_unknown_entity_costs_its_scan_only(dataset, tmp_path, caplog):
    stem = "sub-03/anat/sub-03"
    add(tmp_path / "raw", f"{stem}_T1w.nii.gz", f"{stem}_colour-red_FLAIR.nii.gz", f"{stem}_colour-red_T1w.nii.gz")
    visit = next(v for v in select(dataset()).visits if v.subject == "03")
    assert [(scan.contrast, dict(scan.entities)) for scan in visit.scans] == [("T1w", {})]
    assert "sub-03_colour-red_FLAIR.nii.gz: BIDS has no colour- in names" in caplog.text


def test_a_reference_with_an_unknown_entity_costs_its_visit_with_the_reason(dataset, tmp_path):
    add(tmp_path / "raw", "sub-03/anat/sub-03_colour-red_T1w.nii.gz")
    selection = select(dataset())
    assert len(selection.visits) == 3
    (skip,) = [skip for skip in selection.skipped if skip.visit == "sub-03"]
    assert skip.reason.endswith("sub-03_colour-red_T1w.nii.gz: BIDS has no colour- in names")


@pytest.mark.parametrize("stray", ["localizer.nii.gz", "old_T1w.nii.gz", "sub-10_ses-1_T1w.nii.gz"])
def test_a_stray_image_is_left_out_by_name(dataset, tmp_path, caplog, stray):
    before = select(dataset())
    add(tmp_path / "raw", f"sub-02/ses-1/anat/{stray}")
    assert select(dataset()) == before
    assert f"sub-02/ses-1/anat/{stray} is left out: its name does not begin with sub-02_" in caplog.text


@pytest.mark.parametrize("stray", ["sub-10_FLAIR.nii.gz", "sub-10_ses-2_FLAIR.nii.gz"])
def test_an_image_that_is_not_named_after_the_session_of_its_folder_is_left_out(dataset, tmp_path, caplog, stray):
    before = select(dataset())
    add(tmp_path / "raw", f"sub-10/ses-1/anat/{stray}")
    assert select(dataset()) == before
    assert f"sub-10/ses-1/anat/{stray} is left out: its name does not begin with sub-10_ses-1_" in caplog.text
    add(tmp_path / "raw", "sub-03/anat/sub-03_ses-1_T1w.nii.gz")  # no folder says otherwise
    assert "sub-03_ses-1" in labels(select(dataset()))


def test_a_scan_knows_whether_the_visit_offers_another_of_its_contrast(dataset, tmp_path):
    path = tmp_path / "filter.json"
    path.write_text(json.dumps({"T1w": {"run": 2}}))
    (visit,) = select(dataset(bids_filter_file=path)).visits
    assert (visit.scan("T1w").entities, visit.scan("T1w").only) == ({"run": "2"}, False)
    first, *_ = select(dataset()).visits
    assert (first.scan("T1w").only, first.scan("FLAIR").only) == (True, False)


BOTH = ("participant", "group")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": ("T1w", "T2W")}, r"no selected visit has a T2W: .* predict from \(did you mean T1w\?"),
        ({"target": "flair"}, r"no selected visit has a flair: .* learn \(did you mean FLAIR\?"),
        ({"target": "bogus"}, r"learn \(there is FLAIR, T1w"),
    ],
)
def test_a_contrast_that_the_group_level_needs_and_nobody_has_is_an_error(dataset, changes, said):
    with pytest.raises(UsageError, match=said):
        select(dataset(levels=BOTH, **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"contrasts": ("T1W",), "levels": BOTH}, "no selected visit has a T1W (did you mean T1w?)"),
        ({"source": ("T1w", "T2W")}, "no selected visit has a T2W (did you mean T1w?)"),
        ({"participant_label": ("10",)}, "no selected visit has a FLAIR (there is T1w)"),
        ({"target": "PDw", "levels": BOTH, "model": Path("m")}, "no selected visit has a PDw"),
    ],
)
def test_a_contrast_that_nobody_has_and_nothing_needs_is_a_warning(dataset, caplog, changes, said):
    assert select(dataset(**changes)).visits
    assert said in caplog.text


def test_a_target_of_earlier_participants_in_the_derivatives_is_enough(dataset, tmp_path, caplog):
    settings = dataset(participant_label=("10",), levels=BOTH)
    with pytest.raises(UsageError, match="FLAIR"):
        select(settings)
    table = tmp_path / "out/sub-01/ses-1/sub-01_ses-1_scans.tsv"
    table.parent.mkdir(parents=True)
    row = "anat/sub-01_ses-1_space-T1w_desc-preproc_FLAIR.nii.gz\tFLAIR\tn/a"
    table.write_text(f"filename\tcontrast\tflags\n{row}\n")
    assert labels(select(settings)) == ["sub-10_ses-1"]
    assert "no selected visit has a FLAIR" in caplog.text


def test_parts_select_what_the_whole_does(dataset):
    whole, parts = select(dataset()), [select(dataset(shard=f"{number}/3")) for number in (1, 2, 3)]
    assert [labels(part) for part in parts] == [["sub-01_ses-1", "sub-01_ses-2"], [], ["sub-10_ses-1"]]
    assert [skip for part in parts for skip in part.skipped] == list(whole.skipped)


def test_a_part_is_of_the_participants_that_were_named(dataset):
    chosen = {"participant_label": ("10", "01")}
    assert [labels(select(dataset(shard=f"{n}/2", **chosen))) for n in (1, 2)] == [
        ["sub-01_ses-1", "sub-01_ses-2"],
        ["sub-10_ses-1"],
    ]


@pytest.mark.parametrize(
    ("changes", "skipped"),
    [({"shard": "5/5"}, []), ({"shard": "3/3", "session_label": ("2",)}, ["sub-10"])],
)
def test_a_part_with_nothing_in_it_is_no_error(dataset, changes, skipped):
    selection = select(dataset(**changes))
    assert (selection.visits, [skip.visit for skip in selection.skipped]) == ((), skipped)


def test_participants_without_an_image_are_skipped_by_name_also_where_nothing_is_selected(dataset, tmp_path):
    add(tmp_path / "raw", "sub-04/func/sub-04_task-rest_bold.nii.gz", "sub-05/anat/README")
    skips = {skip.visit: skip.reason for skip in select(dataset()).skipped}
    nothing = "no image in anat/ or ct/ is selected"
    assert skips == {"sub-02_ses-1": "no T1w (it has FLAIR)", "sub-04": nothing, "sub-05": nothing}
    told = []
    with pytest.raises(NothingSelectedError):
        select(dataset(participant_label=("04", "05")), lambda *skips: told.extend(skips))
    assert {skip.visit: skip.reason for skip in told} == {"sub-04": nothing, "sub-05": nothing}
    (skip, _) = select(dataset(participant_label=("10", "01", "04"), session_label=("2",))).skipped
    assert (skip.visit, skip.reason) == ("sub-10", "no image in anat/ or ct/ of ses-2 is selected")


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (("run-10_T1w", "run-2_T1w"), "run-2_T1w"),
        (("run-02_T1w", "run-1_T1w"), "run-1_T1w"),
        (("acq-a_T1w", "run-1_T1w"), "run-1_T1w"),  # none of acq first
        (("run-10_T1w", "run-a_T1w"), "run-10_T1w"),
        (("acq-mprage_run-2_T1w", "acq-mprage_run-10_T1w", "acq-space_run-1_T1w"), "acq-mprage_run-2_T1w"),
    ],
)
def test_the_first_of_several_is_that_of_the_lowest_number(dataset, tmp_path, names, first):
    add(tmp_path / "raw", *(f"sub-03/anat/sub-03_{name}.nii.gz" for name in names))
    visit = next(v for v in select(dataset()).visits if v.subject == "03")
    assert visit.scan("T1w").path.name == f"sub-03_{first}.nii.gz"


def test_real_dataset(test_data, dataset):
    selection = select(dataset(bids_dir=test_data / "openms"))
    assert len(selection.visits) == 6
    assert [visit.label for visit in selection.visits if "FLAIR" not in visit.contrasts] == ["sub-12_ses-2"]
    assert [skip.visit for skip in selection.skipped] == ["sub-09_ses-2"]
