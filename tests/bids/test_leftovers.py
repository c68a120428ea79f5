"""What killed writers left is swept away; what somebody is writing is not."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bidsapp.bids import leftovers, sink
from bidsapp.bids.leftovers import ABANDONED_SECONDS, OLD_SECONDS, own_folder, sweep, temporary_for

WRITER = """
import sys, time
from pathlib import Path
from bidsapp.bids.leftovers import temporary_for
with temporary_for(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def out(tmp_path):
    for folder in ("sub-01/anat", "sub-02/ses-1/figures", "logs/run", "models"):
        (tmp_path / "out" / folder).mkdir(parents=True)
    return tmp_path / "out"


def test_a_file_of_a_living_writer_stays_and_goes_once_it_was_killed(out):
    command = [sys.executable, "-c", WRITER, str(out / "sub-01/anat/sub-01_T1w.nii.gz")]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    named = Path(writer.stdout.readline().strip())
    assert sweep(out) == []
    assert named.exists()
    writer.kill()
    writer.communicate()
    assert sweep(out) == [named]
    assert not named.exists()


def test_everything_is_looked_through_and_only_temporary_names_go(out):
    computer = leftovers._computer()
    left = [
        out / f"{folder}/.name.tsv.abcdefgh.{computer}.part"
        for folder in (".", "sub-01/anat", "sub-02/ses-1/figures", "logs/run", "models")
    ]
    kept = [out / "sub-01/anat/.hidden", out / "sub-01/anat/a.part", out / "sub-01/anat/.x.abcdefgh.part"]
    for path in (*left, *kept):
        path.write_text("x")
    assert sweep(out, ["01"]) == [left[0], left[3], left[4], left[1]]
    assert sweep(out) == [left[2]]
    assert all(path.exists() for path in kept)


def test_of_another_computer_only_age_tells(out):
    file, folder = out / "sub-01/.a.tsv.abcdefgh.00000000.part", out / "models/.bundle.partial"
    file.write_text("x")
    folder.mkdir()
    (folder / "weights").write_text("x")
    assert sweep(out) == []
    old = time.time() - OLD_SECONDS - 1
    for path in (file, folder / "weights", folder):
        os.utime(path, (old, old))
    assert sweep(out) == [folder, file]
    assert not folder.exists()


def test_nothing_is_swept_through_a_link(out, tmp_path):
    name = f".a.abcdefgh.{leftovers._computer()}.part"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / name).write_text("x")
    (out / "sub-01/link").symlink_to(elsewhere)
    (out / "sub-03").symlink_to(elsewhere)
    (out / "sub-01" / name).symlink_to(elsewhere / name)
    assert sweep(out) == []
    assert (elsewhere / name).exists()


def test_a_file_that_was_swept_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    lock, swept = leftovers.fcntl.flock, []

    def late(handle, how):
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
        lock(handle, how)

    monkeypatch.setattr(leftovers.fcntl, "flock", late)
    with temporary_for(tmp_path / "a") as temporary:
        assert temporary.exists()
        assert temporary != swept[0]
        temporary.replace(tmp_path / "a")


def test_a_name_as_long_as_names_may_be(tmp_path):
    name = "x" * 251 + ".tsv"
    assert sink.write_text("hello", tmp_path / name).read_text() == "hello"


def test_an_old_image_is_gone_before_its_new_sidecar_is_there(tmp_path, monkeypatch):
    import nibabel as nib
    import numpy as np

    path = tmp_path / "x_T1w.nii.gz"
    old, new = (nib.Nifti1Image(np.full((3, 3, 3), value, np.float32), np.eye(4)) for value in (1, 2))
    sink.write_image(old, path, {"Of": "old"})
    seen = []
    write = sink.write_text
    monkeypatch.setattr(sink, "write_text", lambda *a: seen.append(path.exists()) or write(*a))
    sink.write_image(old, path, {"Of": "the same"})
    sink.write_image(new, path, {"Of": "new"})
    assert seen == [True, False]
    assert path.exists()


def test_a_folder_of_one_process_stays_while_that_lives(tmp_path):
    script = "from pathlib import Path; import sys, time; from bidsapp.bids.leftovers import own_folder\n"
    script += "with own_folder(Path(sys.argv[1]), 'group-') as folder: print(folder, flush=True); time.sleep(60)"
    owner = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    theirs = Path(owner.stdout.readline().strip())
    with own_folder(tmp_path, "group-") as ours:
        assert sorted(tmp_path.iterdir()) == sorted([theirs, ours])
    assert list(tmp_path.iterdir()) == [theirs]
    owner.kill()
    owner.communicate()
    with own_folder(tmp_path, "group-") as ours:
        assert list(tmp_path.iterdir()) == [ours]
    assert list(tmp_path.iterdir()) == []


def test_of_a_folder_of_another_computer_only_age_tells(tmp_path):
    folder = tmp_path / "group-abc"
    folder.mkdir()
    (folder / ".owner.abcdefgh.00000000.part").touch()
    for age, left in ((ABANDONED_SECONDS / 2, [folder]), (ABANDONED_SECONDS * 2, [])):
        os.utime(folder, (time.time() - age,) * 2)
        with own_folder(tmp_path, "group-"):
            pass
        assert list(tmp_path.iterdir()) == left
