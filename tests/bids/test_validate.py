"""The official validator on what is read."""

import json
import os

import nibabel as nib
import numpy as np
import pytest

from bidsapp.bids.select import select
from bidsapp.bids.validate import PROGRAM, counts, find_program, link_what_is_read, validate
from bidsapp.errors import InvalidBidsError
from bidsapp.settings import Settings


@pytest.fixture
def raw(tmp_path):
    """A participant with T1w, FLAIR and CT, and a file that is not read."""
    root = tmp_path / "raw"
    image = nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4))
    for name in ("anat/sub-01_T1w", "anat/sub-01_FLAIR", "ct/sub-01_ct"):
        path = root / "sub-01" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
    (root / "sub-01/anat/sub-01_T1w.json").write_text("{}")
    (root / "T1w.json").write_text('{"EchoTime": 0.003}')
    (root / "sub-01/anat/sub-01_acq-b_T1w.json").write_text("no JSON, and of nothing that is read")
    (root / "sub-01/func").mkdir()
    (root / "sub-01/func/nonsense.nii.gz").touch()
    (root / "participants.tsv").write_text("no_such_column\n1\n")
    description = {"Name": "test", "BIDSVersion": "1.10.0", "Authors": ["A"], "License": "CC0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    return root


def settings_of(raw, **more):
    return Settings(raw, raw.parent / "out", ("participant",), contrasts=("ct",), **more)


def check(raw, **more):
    settings = settings_of(raw, **more)
    validate(settings, select(settings).visits)


def installed():
    if find_program() is None:
        pytest.skip(f"{PROGRAM} is not installed")


def test_the_validator_sees_what_is_read_and_no_more(raw, tmp_path):
    images = [scan.path for scan in select(settings_of(raw)).visits[0].scans]
    (raw / "sub-01/anat/sub-01_FLAIR.nii.gz").unlink()
    (raw / "sub-01/anat/sub-01_FLAIR.nii.gz").symlink_to("nowhere")  # its visit says so
    (tmp_path / "links").mkdir()
    link_what_is_read(raw, images, tmp_path / "links")
    seen = {
        os.path.relpath(file, tmp_path / "links") for file in (tmp_path / "links").rglob("*") if file.is_file()
    }
    assert seen == {
        "dataset_description.json",
        "T1w.json",
        "sub-01/anat/sub-01_T1w.json",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/ct/sub-01_ct.nii.gz",
    }


def test_a_valid_dataset_with_a_ct_and_rubbish_elsewhere_is_gone_on_with(raw):
    installed()
    check(raw)


def test_a_broken_image_is_left_to_its_own_visit(raw):
    installed()
    for content in (b"no image", b""):
        (raw / "sub-01/anat/sub-01_FLAIR.nii.gz").write_bytes(content)
        check(raw)


def test_an_error_in_what_is_read_stops_a_run(raw):
    installed()
    (raw / "sub-01/anat/sub-01_T1w.json").write_text("{")
    with pytest.raises(InvalidBidsError, match=r"sub-01/anat/sub-01_T1w.json: JSON_INVALID") as caught:
        check(raw)
    assert caught.value.exit_code == 16
    assert "--skip-bids-validation" in caught.value.hint
    check(raw, skip_bids_validation=True)


def test_without_the_validator_it_is_said_that_nothing_was_checked(raw, monkeypatch, caplog):
    monkeypatch.setattr("bidsapp.bids.validate.find_program", lambda: None)
    (raw / "sub-01/anat/sub-01_T1w.json").write_text("{")
    with caplog.at_level("INFO"):
        check(raw)
    assert f"the dataset is not validated: {PROGRAM} is not installed" in caplog.text


def test_a_validator_that_cannot_run_stops_nothing(raw, tmp_path, monkeypatch, caplog):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho 'no such library' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("bidsapp.bids.validate.find_program", lambda: str(program))
    check(raw)
    assert "ended with status 3: no such library" in caplog.text


@pytest.mark.parametrize(
    ("issue", "counted"),
    [
        ({"severity": "error", "location": "/sub-01/anat/sub-01_T1w.json"}, True),
        ({"severity": "warning", "location": "/sub-01/anat/sub-01_T1w.json"}, False),
        ({"severity": "error", "location": "/sub-01/ct/sub-01_ct.nii.gz"}, False),
        ({"severity": "error", "location": "/sub-01/ct/"}, False),
        ({"severity": "error", "location": "/sub-01/anat/sub-01_ct.json"}, False),
        ({"severity": "error", "code": "EMPTY_FILE", "location": "/sub-01/anat/sub-01_T1w.nii.gz"}, False),
        ({"severity": "error", "code": "EMPTY_FILE", "location": "/sub-01/anat/sub-01_T1w.json"}, True),
        ({"severity": "error"}, True),
    ],
)
def test_a_ct_is_nobodys_error(issue, counted):
    assert counts(issue) is counted
