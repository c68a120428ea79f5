"""The simulated dataset as a whole."""

import json

import nibabel as nib
import numpy as np
import pytest

from bidsapp.cli.phantom import main
from bidsapp.phantom.cohort import plan_visits, simulate_cohort
from bidsapp.phantom.truth import read_truth, withheld


def test_some_visits_lack_the_target_and_one_participant_always():
    visits = plan_visits(6, "FLAIR")
    assert len(visits) == 8
    assert [v.label for v in visits if v.lacks] == ["sub-03_ses-2", "sub-06_ses-1", "sub-06_ses-2"]


def test_a_complete_cohort_has_one_session_of_everybody():
    visits = plan_visits(6, "FLAIR", complete=True)
    assert [v.label for v in visits] == [f"sub-0{n}_ses-1" for n in range(1, 7)]
    assert not any(v.lacks for v in visits)


@pytest.mark.slow
def test_cohort(phantom_cohort):
    assert not (phantom_cohort / "sub-03/ses-2/anat/sub-03_ses-2_FLAIR.nii.gz").exists()
    assert withheld(phantom_cohort, "sub-03_ses-2", "FLAIR").is_file()
    flair = nib.load(phantom_cohort / "sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz")
    truth = read_truth(phantom_cohort, "sub-01_ses-1", "FLAIR")
    assert flair.get_data_dtype() == np.int16
    assert flair.header.get_zooms()[2] >= 3
    brain = np.asarray(truth.brain.dataobj) > 0
    voxel = np.prod(flair.header.get_zooms()) / 1000
    assert 1200 < brain.sum() * voxel < 2000  # ml
    clean, bias = truth.noise_free.get_fdata()[brain], truth.bias.get_fdata()[brain]
    residual = flair.get_fdata()[brain] - clean * bias
    assert 15 < np.median(clean) / residual.std() < 60


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(phantom_cohort, tmp_path):
    simulate_cohort(tmp_path / "again", participants=1, resolution=2.0)
    name = "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz"
    assert (tmp_path / "again" / name).read_bytes() == (phantom_cohort / name).read_bytes()


@pytest.mark.slow
def test_a_randomized_cohort_has_many_scanners(tmp_path):
    for folder in ("once", "again"):
        words = ["--participants", "3", "--resolution", "4", "--randomize", "--complete", "--seed", "3"]
        assert main([str(tmp_path / folder), *words]) == 0
    names = [f"sub-0{n}_ses-1" for n in (1, 2, 3)]
    t1w, flair = (
        [json.loads((tmp_path / f"once/sourcedata/truth/{name}/{c}.json").read_text()) for name in names]
        for c in ("T1w", "FLAIR")
    )
    for truths in (t1w, flair):
        assert len({truth["Sequence"]["tr"] for truth in truths}) == 3
        assert all(0 <= truth["Blur"] <= 0.7 and 0 <= truth["Ghost"] <= 0.06 for truth in truths)
    assert all(one["Tissues"] == other["Tissues"] for one, other in zip(t1w, flair, strict=True))
    ratios = []
    for name in names:
        file = f"sub-{name[4:6]}/ses-1/anat/{name}_FLAIR"
        once, again = (tmp_path / folder / f"{file}.nii.gz" for folder in ("once", "again"))
        assert once.read_bytes() == again.read_bytes()
        truth = read_truth(tmp_path / "once", name, "FLAIR")
        inside = truth.noise_free.get_fdata()[np.asarray(truth.brain.dataobj) > 0]
        ratios.append(np.subtract(*np.percentile(inside, [75, 25])) / np.median(inside))
        sidecar = json.loads((tmp_path / "once" / f"{file}.json").read_text())
        assert sidecar["MagneticFieldStrength"] in {1.5, 3.0}
    assert max(ratios) > 1.2 * min(ratios)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--participants", "0"], "out of range"),
        (["--contrasts", "FLAIR,T1w"], "T1w first"),
        (["--colour"], "unrecognized"),
    ],
)
def test_bad_words(tmp_path, capsys, words, said):
    assert main([str(tmp_path / "x"), *words]) == 64
    assert said in capsys.readouterr().err


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    assert main([str(tmp_path)]) == 64
    assert "not empty" in capsys.readouterr().err
