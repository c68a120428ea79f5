"""Every output path."""

import pytest

from bidsapp.bids import names
from bidsapp.records import Scan, Space, Visit

T1W = Scan("t1", "T1w", {"acq": "mprage", "run": "2"})
FLAIR = Scan("flair", "FLAIR", {"acq": "sag"})
T2W = Scan("t2", "T2w", {"acq": "sag", "run": "2"})
VISIT = Visit("01", "A", (T1W, FLAIR, T2W))
MNI, COARSE = Space("MNI152NLin2009cAsym"), Space.parse("MNI152NLin2009cAsym:res-2")
STEM = "sub-01/ses-A/anat/sub-01_ses-A"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (names.preproc(VISIT, T1W, "T1w"), f"{STEM}_acq-mprage_run-2_desc-preproc_T1w.nii.gz"),
        (names.preproc(VISIT, FLAIR, "T1w"), f"{STEM}_acq-sag_space-T1w_desc-preproc_FLAIR.nii.gz"),
        (names.normalized(VISIT, FLAIR, "T1w"), f"{STEM}_acq-sag_space-T1w_desc-normalized_FLAIR.nii.gz"),
        (names.brain_mask(VISIT, T1W, "T1w"), f"{STEM}_acq-mprage_run-2_desc-brain_mask.nii.gz"),
        (names.brain_mask(VISIT, FLAIR, "T1w"), f"{STEM}_acq-sag_space-T1w_desc-brainFLAIR_mask.nii.gz"),
        (names.transform(VISIT, FLAIR, "T1w"), f"{STEM}_acq-sag_from-FLAIR_to-T1w_mode-image_xfm.txt"),
        (names.synth(VISIT, [T1W], "FLAIR"), f"{STEM}_acq-mprage_run-2_desc-synth_FLAIR.nii.gz"),
        (names.synth(VISIT, [T1W, T2W], "FLAIR"), f"{STEM}_run-2_desc-synth_FLAIR.nii.gz"),
        (names.in_space(VISIT, FLAIR, MNI), f"{STEM}_acq-sag_space-{MNI.name}_desc-preproc_FLAIR.nii.gz"),
        (
            names.space_mask(VISIT, T1W, COARSE),
            f"{STEM}_acq-mprage_run-2_space-{MNI.name}_res-2_desc-brain_mask.nii.gz",
        ),
        (
            names.template_transforms(VISIT, T2W, MNI, "syn")[1],
            f"{STEM}_acq-sag_run-2_from-{MNI.name}_to-T2w_mode-image_xfm.h5",
        ),
        (names.scans_table(VISIT), "sub-01/ses-A/sub-01_ses-A_scans.tsv"),
        (names.report(VISIT), "sub-01_ses-A.html"),
        (names.bundle(("T1w", "T2w"), "FLAIR", "unet"), "models/T1w+T2w-to-FLAIR_unet"),
    ],
)
def test_path(path, expected):
    assert path == expected


def test_sidecars_stand_beside_images_and_transforms():
    assert names.sidecar("a/b_T1w.nii.gz") == "a/b_T1w.json"
    assert names.sidecar("a/b_xfm.txt") == "a/b_xfm.json"
    with pytest.raises(ValueError, match=r"\.tsv"):
        names.sidecar("a.tsv")


def test_an_entity_without_a_place_is_an_error():
    with pytest.raises(ValueError, match="colour"):
        names.preproc(VISIT, Scan("x", "T1w", {"colour": "1"}), "T1w")


def test_entities_stand_in_the_order_of_the_schema_whatever_a_file_name_says():
    scan = Scan("x", "T1w", {"part": "mag", "echo": "1", "inv": "2", "run": "1", "task": "rest", "chunk": "3"})
    expected = f"{STEM}_task-rest_run-1_echo-1_inv-2_part-mag_space-T1w_chunk-3_desc-preproc_T1w.nii.gz"
    assert names.preproc(VISIT, scan, "T1w") == expected.replace("_space-T1w", "")
    flair = Scan("x", "FLAIR", scan.entities)
    assert names.preproc(VISIT, flair, "T1w") == expected.replace("_T1w.nii", "_FLAIR.nii")
