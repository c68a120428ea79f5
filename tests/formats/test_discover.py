"""What is found in a source folder, and what of it is set aside."""

import os

import pytest

from bidsapp.errors import InputOutputError
from bidsapp.formats import discover as module
from bidsapp.formats.discover import TWIN, discover

from ..fabricated import image, write_analyze, write_nifti, write_parrec

SLICE = bytes(128) + b"DICM"


def test_two_files_of_one_image_are_one_candidate(tmp_path):
    write_nifti(tmp_path / "a/t1.nii.gz", *image())
    write_analyze(tmp_path / "a/t2.hdr", image()[0])
    write_parrec(tmp_path / "b/flair.PAR", *image())
    (tmp_path / "b/readme.txt").write_text("x")
    assert [one.name for one in discover(tmp_path)] == ["a/t1.nii.gz", "a/t2.hdr", "b/flair.PAR"]


def test_folders_below_dicom_slices_are_no_candidates_of_their_own(tmp_path):
    for folder in ("case1/CT", "case1/CT/part2"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1").write_bytes(bytes(128) + b"DICM")
    assert [(one.name, one.dicom) for one in discover(tmp_path)] == [("case1/CT", True)]


def test_a_dicomdir_makes_no_folder_of_slices(tmp_path):
    for name in ("DICOMDIR", "DICOM/PAT0/ST0/IM0", "DICOM/PAT1/ST0/IM0"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(SLICE)
    assert [one.name for one in discover(tmp_path)] == ["DICOM/PAT0/ST0", "DICOM/PAT1/ST0"]


def test_of_an_image_packed_and_unpacked_the_packed_one_is_set_aside(tmp_path):
    for name in ("t1.nii", "T1.nii.gz", "t2.nii.gz"):
        write_nifti(tmp_path / name, *image())
    found = {one.name: one.aside for one in discover(tmp_path)}
    assert found == {"T1.nii.gz": TWIN, "t1.nii": None, "t2.nii.gz": None}


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    def walk(top, onerror):
        onerror(PermissionError(13, "Permission denied", str(tmp_path / "locked")))
        return iter([(str(top), [], [])])

    monkeypatch.setattr(module.os, "walk", walk)
    (one,) = discover(tmp_path)
    assert isinstance(one.aside, InputOutputError)
    assert str(tmp_path / "locked") + ": Permission denied" in str(one.aside)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is locked for root")
def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "IM0").write_bytes(SLICE)
    (tmp_path / "IM0").chmod(0)
    (one,) = discover(tmp_path)
    assert isinstance(one.aside, InputOutputError)
