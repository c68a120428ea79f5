"""Guesses are for a person to read: what they are, and what they leave out."""

from pathlib import Path

import pytest

from bidsapp.errors import NoInputError
from bidsapp.formats.discover import Found
from bidsapp.formats.guessing import guess


def guessed(*names):
    made = guess([Found(Path("/src") / name, name, dicom=False) for name in names])
    return {item.source.relative_to("/src").as_posix(): item.goal for item in made.items}, made.left_out


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("patient01/T1W.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"),
        ("patient01/FLAIR.nii.gz", "sub-01/anat/sub-01_FLAIR.nii.gz"),
        ("patient01/T1WKS.nii.gz", "sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz"),
        ("sub-A1/ses-2/t2_flair.nii", "sub-A1/ses-2/anat/sub-A1_ses-2_FLAIR.nii.gz"),
        ("Smith/visit2/mprage.mnc", "sub-Smith/ses-2/anat/sub-Smith_ses-2_T1w.nii.gz"),
        ("case_07_T2.nrrd", "sub-07/anat/sub-07_T2w.nii.gz"),
        ("x17_pd.mha", "sub-x17/anat/sub-x17_PDw.nii.gz"),
        ("s03/CT/head.nii.gz", "sub-s03/ct/sub-s03_ct.nii.gz"),
        ("s03/t2star.nii.gz", "sub-s03/anat/sub-s03_T2starw.nii.gz"),
    ],
)
def test_names(name, goal):
    assert guessed(name)[0] == {name: goal}


def test_what_cannot_be_told_is_left_out_by_reason():
    _, left_out = guessed("s1/t1.nii", "s1/lesion_mask.nii", "s1/brain.nii", "s1/dwi_t2.nii")
    assert left_out == {
        "named like a mask, a map or another kind of series": ["s1/lesion_mask.nii", "s1/dwi_t2.nii"],
        "its contrast could not be told": ["s1/brain.nii"],
    }
    with pytest.raises(NoInputError, match="no contrast could be told of any of 1 images"):
        guessed("brain.nii")


def test_repeated_contrasts_become_runs():
    assert list(guessed("s1/t1_a.nii", "s1/t1_b.nii")[0].values()) == [
        "sub-s1/anat/sub-s1_run-1_T1w.nii.gz",
        "sub-s1/anat/sub-s1_run-2_T1w.nii.gz",
    ]
