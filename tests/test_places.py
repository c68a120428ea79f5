"""Where intermediate files lie."""

from dataclasses import replace

from bidsapp.records import Scan, Visit
from bidsapp.settings import Settings
from bidsapp.workflows.nodes import node_folder, sink_node


def test_runs_on_other_data_have_other_folders_in_one_that_they_share(tmp_path):
    for name in ("raw", "raw2", "out", "out2"):
        (tmp_path / name).mkdir()
    scan = Scan(tmp_path / "raw/sub-01_T1w.nii.gz", "T1w")
    node = sink_node(Visit("01", None, (scan,)), scan)
    one = Settings(tmp_path / "raw", tmp_path / "out", ("participant",), work_dir=tmp_path / "work")
    others = [replace(one, output_dir=tmp_path / "out2"), replace(one, bids_dir=tmp_path / "raw2")]
    folders = [node_folder(settings, node) for settings in (one, *others)]
    assert len(set(folders)) == 3
    assert all(folder.relative_to(tmp_path / "work").parts[1:3] == ("participant", "sub_01") for folder in folders)
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert replace(one, output_dir=tmp_path / "link").work == one.work
    assert replace(one, work_dir=None).work == tmp_path / "out/work"


def test_containers_that_call_their_folders_alike_have_other_folders(tmp_path):
    (tmp_path / "out").mkdir()
    settings = Settings(tmp_path / "data", tmp_path / "out", ("participant",), work_dir=tmp_path / "work")
    before = settings.work
    (tmp_path / "out").rename(tmp_path / "of_another")
    (tmp_path / "out").mkdir()
    assert settings.work != before
