"""What other derivative datasets already have."""

import pytest

from bidsapp.bids.precomputed import find_image, find_mask, find_transform
from bidsapp.records import Scan, Visit

T1W, FLAIR = Scan("t1", "T1w", {"run": "2"}), Scan("flair", "FLAIR")
VISIT = Visit("01", "A", (T1W, FLAIR))
STEM = "sub-01/ses-A/anat/sub-01_ses-A"


@pytest.fixture
def words(tmp_path):
    """Return a function that creates files in two datasets and returns their ``NAME=PATH``."""

    def words(*files):
        for name in files:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return [f"{name}={tmp_path / name}" for name in ("one", "two")]

    return words


@pytest.mark.parametrize(
    ("scan", "files", "found"),
    [
        (T1W, [f"one/{STEM}_desc-brain_mask.nii.gz"], f"bids:one:{STEM}_desc-brain_mask.nii.gz"),
        (
            T1W,
            [f"one/{STEM}_desc-brain_mask.nii.gz", f"one/{STEM}_run-2_desc-brain_mask.nii.gz"],
            f"bids:one:{STEM}_run-2_desc-brain_mask.nii.gz",
        ),
        (
            FLAIR,
            [f"one/{STEM}_desc-brain_mask.nii.gz", f"two/{STEM}_desc-brainFLAIR_mask.nii.gz"],
            f"bids:two:{STEM}_desc-brainFLAIR_mask.nii.gz",
        ),
        (FLAIR, [f"one/{STEM}_desc-brain_mask.nii.gz"], None),  # the T1w's, in the T1w's space
        (T1W, [f"one/{STEM}_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz"], None),
    ],
)
def test_a_mask_in_the_scans_own_space_is_found(words, scan, files, found):
    given = find_mask(words(*files), VISIT, scan, "T1w")
    assert (given and given.uri) == found
    assert given is None or given.path.is_file()


def test_of_several_runs_only_what_names_the_run_is_taken(words):
    second = Scan("t1", "T1w", {"run": "2"}, only=False)
    unnamed = words(f"one/{STEM}_desc-brain_mask.nii.gz", f"one/{STEM}_desc-preproc_T1w.nii.gz")
    assert find_mask(unnamed, VISIT, second, "T1w") is None
    assert find_image(unnamed, VISIT, second) is None
    named = words(f"two/{STEM}_run-2_desc-brain_mask.nii.gz", f"two/{STEM}_run-2_desc-preproc_T1w.nii.gz")
    assert find_mask(named, VISIT, second, "T1w").uri == f"bids:two:{STEM}_run-2_desc-brain_mask.nii.gz"
    assert find_image(named, VISIT, second).uri == f"bids:two:{STEM}_run-2_desc-preproc_T1w.nii.gz"


def test_a_preprocessed_image_in_the_scans_own_space_is_found(words):
    assert find_image(words(f"one/{STEM}_space-T1w_desc-preproc_FLAIR.nii.gz"), VISIT, FLAIR) is None
    given = find_image(words(f"two/{STEM}_desc-preproc_T1w.nii.gz"), VISIT, T1W)
    assert given.uri == f"bids:two:{STEM}_desc-preproc_T1w.nii.gz"


def test_the_first_dataset_that_has_a_transform_wins(words):
    name = f"{STEM}_from-FLAIR_to-T1w_mode-image_xfm.txt"
    assert find_transform(words(), VISIT, FLAIR, "T1w") is None
    assert find_transform(words(f"two/{name}"), VISIT, FLAIR, "T1w").uri == f"bids:two:{name}"
    assert find_transform(words(f"one/{name}"), VISIT, FLAIR, "T1w").uri == f"bids:one:{name}"
