"""Our names of MR derivatives are those that niworkflows' sink gives."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp.bids import names
from bidsapp.records import Scan, Visit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contrast", "entities", "path_of"),
    [
        ("T1w", {"desc": "preproc"}, lambda v, s: names.preproc(v, s, "T1w")),
        ("FLAIR", {"desc": "preproc", "space": "T1w"}, lambda v, s: names.preproc(v, s, "T1w")),
        ("T2w", {"desc": "normalized", "space": "T1w"}, lambda v, s: names.normalized(v, s, "T1w")),
        ("T1w", {"desc": "brain", "suffix": "mask"}, lambda v, s: names.brain_mask(v, s, "T1w")),
        ("T1w", {"desc": "synth", "suffix": "FLAIR"}, lambda v, s: names.synth(v, [s], "FLAIR")),
    ],
)
def test_name(tmp_path, contrast, entities, path_of):
    from niworkflows.interfaces.bids import DerivativesDataSink

    raw = tmp_path / f"raw/sub-01/ses-A/anat/sub-01_ses-A_acq-x_run-1_{contrast}.nii.gz"
    raw.parent.mkdir(parents=True)
    (tmp_path / "raw/dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.10.0"}))
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), raw)
    image = tmp_path / "image.nii.gz"
    image.write_bytes(raw.read_bytes())
    sink = DerivativesDataSink(
        base_directory=str(tmp_path), in_file=str(image), source_file=str(raw), compress=True, **entities
    )
    sink.out_path_base = ""
    theirs = sink.run().outputs.out_file
    scan = Scan(raw, contrast, {"acq": "x", "run": "1"})
    ours = path_of(Visit("01", "A", (scan,)), scan)
    assert Path(theirs).relative_to(tmp_path.resolve()).as_posix() == ours
