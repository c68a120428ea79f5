"""Steps on a scan in its own grid."""

import json

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.grid import Grid
from bidsapp.interfaces import scan
from bidsapp.interfaces.scan import BrainMask, CheckHeader, CorrectBias


def test_a_checked_image_keeps_its_voxels(files, tmp_path):
    image, _ = files("T1w")
    outputs = CheckHeader(in_file=image).run(cwd=str(tmp_path)).outputs
    assert np.array_equal(nib.load(outputs.out_file).get_fdata(), nib.load(image).get_fdata())
    assert outputs.out_file.endswith(".nii")  # intermediate files are not compressed
    assert len(outputs.fingerprint) == 64


def test_the_grid_is_that_of_the_acquired_image_also_where_another_is_used(files, tmp_path):
    image, _ = files("T1w")
    other = nib.Nifti1Image(nib.load(image).get_fdata(), np.diag([4.0, 4, 4, 1]))
    nib.save(other, tmp_path / "other.nii")
    outputs = CheckHeader(in_file=image, given=str(tmp_path / "other.nii")).run(cwd=str(tmp_path)).outputs
    found = Grid.from_json(json.loads(json.dumps(outputs.grid)))
    assert found.shape == nib.load(image).shape
    assert np.allclose(found.affine, nib.load(image).affine)
    assert nib.load(outputs.out_file).affine[0, 0] == 4


@pytest.mark.parametrize("kind", ["truncated", "dangling"])
def test_a_scan_that_cannot_be_read_is_named(files, tmp_path, kind):
    path = tmp_path / "bad.nii"
    if kind == "truncated":
        whole, _ = files("T1w")
        path.write_bytes(open(whole, "rb").read()[:5000])  # noqa: PTH123, SIM115
    else:
        path.symlink_to(tmp_path / "annex/object")
    with pytest.raises(DataError, match=r"bad\.nii") as error:
        CheckHeader(in_file=str(path)).run(cwd=str(tmp_path))
    assert error.value.hint


def test_a_missing_brain_is_reported_for_the_acquired_file(files, tmp_path, monkeypatch):
    def none(*_):
        raise DataError("no brain was found", "look at the image")

    monkeypatch.setattr(scan, "find_brain", none)
    with pytest.raises(DataError, match=r"^/raw/sub-01_T1w\.nii\.gz: no brain was found"):
        BrainMask(in_file=files("T1w")[0], scan="/raw/sub-01_T1w.nii.gz").run(cwd=str(tmp_path))


def test_a_given_mask_is_used_and_a_missing_one_said(files, tmp_path):
    image, mask = files("T1w")
    step = {"in_file": image, "scan": "/raw/sub-01_T1w.nii.gz", "method": "precomputed"}
    outputs = BrainMask(**step, given=mask).run(cwd=str(tmp_path)).outputs
    assert np.array_equal(nib.load(outputs.out_file).get_fdata(), nib.load(mask).get_fdata())
    assert (outputs.found_by, outputs.stripped) == ("precomputed", True)  # the ball has no skull
    with pytest.raises(DataError, match=r"sub-01_T1w\.nii\.gz: no dataset of --derivatives"):
        BrainMask(**step).run(cwd=str(tmp_path))


def test_the_whole_head_is_divided_by_the_field(files, tmp_path, monkeypatch):
    image, mask = files("T1w")
    head = nib.load(image)
    field = np.full(head.shape, 2, np.float32)
    monkeypatch.setattr(
        scan, "estimate_bias_field", lambda i, m, *, levels: nib.Nifti1Image(field / levels, i.affine)
    )
    outputs = CorrectBias(in_file=image, mask=mask, levels=4).run(cwd=str(tmp_path)).outputs
    assert np.allclose(nib.load(outputs.out_file).get_fdata(), head.get_fdata() * 2)
    assert np.allclose(nib.load(outputs.field).get_fdata(), 0.5)
