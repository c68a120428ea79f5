"""Small raw datasets."""

import json

import pytest

from bidsapp.settings import Settings


@pytest.fixture
def dataset(tmp_path):
    """Create a raw dataset of empty files, and return a function that gives settings for it."""
    root = tmp_path / "raw"
    files = [
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_acq-b_FLAIR.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_acq-a_FLAIR.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_run-1_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_run-2_T1w.nii.gz",
        "sub-01/ses-2/func/sub-01_ses-2_task-rest_bold.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_FLAIR.nii.gz",
        "sub-10/ses-1/anat/sub-10_ses-1_T1w.nii",
    ]
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    (root / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.10.0"}))

    def settings(**changes):
        return Settings(
            **{"bids_dir": root, "output_dir": tmp_path / "out", "levels": ("participant",), **changes}
        )

    return settings
