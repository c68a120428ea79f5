"""A kept index of pybids: made once, whole; read after; refused where it is another's."""

import logging
from concurrent.futures import ProcessPoolExecutor

import pytest

from bidsapp.bids.index import DATABASE_FILE
from bidsapp.bids.select import select
from bidsapp.errors import UsageError


def scans(selection):
    return [(visit.label, scan.path) for visit in selection.visits for scan in visit.scans]


def test_an_index_is_made_once_of_everybody_and_selects_what_a_look_at_the_files_does(dataset, tmp_path):
    database = tmp_path / "index/of raw"
    select(dataset(bids_database_dir=database, participant_label=("01",)))
    assert [path.name for path in database.iterdir()] == [DATABASE_FILE]
    made = (database / DATABASE_FILE).read_bytes()
    for labels in ((), ("01",), ("02", "10")):
        looked_up = select(dataset(participant_label=labels))
        indexed = select(dataset(participant_label=labels, bids_database_dir=database))
        assert scans(indexed) == scans(looked_up)
    assert (database / DATABASE_FILE).read_bytes() == made


def test_an_index_of_all_files_gives_only_what_may_be_an_image_to_work_on(dataset, tmp_path):
    from bids import BIDSLayout

    settings = dataset(bids_database_dir=tmp_path / "index")
    expected = scans(select(dataset()))
    bold = settings.bids_dir / "sub-01/ses-1/func/sub-01_ses-1_T1w.nii.gz"
    bold.parent.mkdir()
    bold.touch()
    BIDSLayout(settings.bids_dir, database_path=settings.bids_database_dir)
    assert scans(select(settings)) == expected


def test_an_image_at_the_root_is_passed_over(dataset, tmp_path):
    settings = dataset(bids_database_dir=tmp_path / "index")
    (settings.bids_dir / "sub-01_T1w.nii.gz").touch()
    assert scans(select(settings)) == scans(select(dataset()))


def test_a_file_that_is_gone_is_named(dataset, tmp_path, caplog):
    settings = dataset(bids_database_dir=tmp_path / "index")
    (_, gone), *others = scans(select(settings))
    gone.unlink()
    with caplog.at_level(logging.WARNING):
        assert gone not in dict(map(reversed, scans(select(settings))))
    assert f"{gone} is in the index of --bids-database-dir only" in caplog.text
    assert others


def test_the_index_of_another_place_or_no_index_is_refused(dataset, tmp_path):
    settings = dataset(bids_database_dir=tmp_path / "index")
    select(settings)
    moved = settings.bids_dir.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="index"):
        select(dataset(bids_dir=moved, bids_database_dir=tmp_path / "index"))
    moved.rename(settings.bids_dir)
    other = tmp_path / "other"
    (other / "sub-01").mkdir(parents=True)
    (other / "dataset_description.json").write_text('{"Name": "other", "BIDSVersion": "1.10.0"}')
    with pytest.raises(UsageError, match=f"the index of {settings.bids_dir}, not of {other}"):
        select(dataset(bids_dir=other, bids_database_dir=tmp_path / "index"))
    (tmp_path / "index" / DATABASE_FILE).write_bytes(b"no database")
    with pytest.raises(UsageError, match="no index of"):
        select(settings)


def test_a_dry_run_writes_none(dataset, tmp_path):
    select(dataset(bids_database_dir=tmp_path / "index", dry_run=True))
    assert not (tmp_path / "index").exists()


def test_jobs_that_make_it_at_once_agree(dataset, tmp_path):
    settings = dataset(bids_database_dir=tmp_path / "index")
    with ProcessPoolExecutor(3) as jobs:
        first, *others = jobs.map(select, [settings] * 3)
    assert [scans(other) for other in others] == [scans(first)] * 2
    assert [path.name for path in (tmp_path / "index").iterdir()] == [DATABASE_FILE]
