"""Files are there whole or not at all, and the same twice."""

import gzip
import json
import os
import time

import nibabel as nib
import numpy as np
import pytest

from bidsapp.bids import sink


@pytest.fixture
def image():
    affine = np.diag([1.0, 1, 1, 1])
    image = nib.Nifti1Image(np.random.default_rng(0).normal(size=(8, 9, 10)), affine)
    image.set_sform(affine, 2)
    return image


def test_image_bytes_do_not_depend_on_time_or_place(tmp_path, image):
    a = sink.write_image(image, tmp_path / "a/x_T1w.nii.gz", {"Description": "d"})
    time.sleep(1.1)  # gzip's clock ticks in seconds
    b = sink.write_image(image, tmp_path / "b/y_T1w.nii.gz", {"Description": "d"})
    assert a.read_bytes() == b.read_bytes()
    assert gzip.decompress(a.read_bytes())[:4] == (348).to_bytes(4, "little")


def test_image_is_float32_with_one_affine_and_a_sidecar(tmp_path, image):
    path = sink.write_image(image, tmp_path / "x_T1w.nii.gz", {"Description": "d"})
    stored = nib.load(path)
    assert stored.get_data_dtype() == np.float32
    assert np.array_equal(stored.get_qform(), stored.get_sform())
    assert (stored.header["qform_code"], stored.header["sform_code"]) == (2, 2)
    assert json.loads((tmp_path / "x_T1w.json").read_text()) == {"Description": "d"}


def test_a_sidecar_that_cannot_be_told_costs_no_old_image(tmp_path, image):
    path = sink.write_image(image, tmp_path / "x_T1w.nii.gz", {"EchoTime": 0.003})
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    other = nib.Nifti1Image(np.ones((8, 9, 10), np.float32), np.eye(4))
    for wrong in (float("nan"), object()):
        with pytest.raises((ValueError, TypeError)):
            sink.write_image(other, path, {"EchoTime": wrong})
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_the_same_content_leaves_the_file_alone(tmp_path):
    path = sink.write_text("hello", tmp_path / "a.txt")
    os.utime(path, ns=(1, 1))
    sink.write_text("hello", path)
    assert path.stat().st_mtime_ns == 1
    sink.write_text("world", path)
    assert path.stat().st_mtime_ns > 1


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = sink.write_text("old", tmp_path / "a.txt")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space"):
        sink.write_text("new", path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_table(tmp_path):
    rows = [{"a": 1.23456789, "b": None}, {"a": "x", "b": True}]
    text = sink.write_tsv(rows, tmp_path / "t.tsv", ["a", "b", "c"]).read_text()
    assert text == "a\tb\tc\n1.23457\tn/a\tn/a\nx\ttrue\tn/a\n"
