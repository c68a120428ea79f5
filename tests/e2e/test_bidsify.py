"""Trees named as known datasets become datasets that the validator passes and the participant level takes."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp.cli.bidsify import main

from ..fabricated import ct_head, image, oblique, tree

PEOPLE = "scan\tparticipant\tsession\n" + "".join(f"KKI2009-0{n}\t{n}\t1\n" for n in (1, 2, 3))
# A head is wide enough for the participant level to look at it; nothing is computed of these.
SHAPE, SPACING = (30, 36, 30), (6.0, 5.0, 6.0)


def heads(*contrasts, turn=True):
    made = []
    for person in range(2):
        images = {}
        for k, contrast in enumerate(contrasts):
            data, affine = image(SHAPE, SPACING, (-90, -90, -80), seed=10 * person + k)
            images[contrast] = (data, oblique(affine, 5.0) if turn else affine)
        made.append(images)
    return made


def errors_of(root):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    result = subprocess.run([validator, root, "--format", "json"], capture_output=True, text=True, check=False)
    issues = json.loads(result.stdout)["issues"]["issues"]
    return [issue for issue in issues if issue["severity"] == "error"]


def synthprep(*words):
    command = [sys.executable, "-m", "bidsapp", *map(str, words), "--nprocs", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


TREES = {
    "IXI": ("IXI", heads("T1w", "T2w", "PDw"), 6, "T2w"),
    "Kirby21": ("Kirby21", heads("T1w", "FLAIR"), 4, "FLAIR"),
    "Kirby21-PAR": ("Kirby21", heads("T1w", "FLAIR", turn=False), 4, "FLAIR"),
    "BrainWeb": ("BrainWeb", heads("T1w", "T2w", "PDw", turn=False), 6, "T2w"),
    "BraTS": ("BraTS", heads("T1w", "T2w", "FLAIR"), 6, "FLAIR"),
    "BraTS-MHA": ("BraTS", heads("T1w", "T2w", "FLAIR"), 6, "FLAIR"),
    "ISBI2015": ("ISBI2015", heads("T1w", "FLAIR"), 4, "FLAIR"),
    "OASIS": ("OASIS", heads("T1w", "FLAIR"), 4, "FLAIR"),
    "ADNI": ("ADNI", heads("T1w", "FLAIR"), 4, "FLAIR"),
}


@pytest.fixture
def convert(tmp_path):
    def run(kind, recipe, images):
        if kind in {"CQ500", "ADNI"}:
            pytest.importorskip("dcm2niix")
        source = tree(tmp_path / "source", kind, images)
        words = [str(source), str(tmp_path / "bids"), "--recipe", recipe]
        if recipe == "Kirby21":
            (tmp_path / "people.tsv").write_text(PEOPLE)
            words += ["--subjects", str(tmp_path / "people.tsv")]
        assert main(words) == 0
        return tmp_path / "bids"

    return run


@pytest.mark.slow
@pytest.mark.parametrize("kind", TREES)
def test_a_known_dataset_is_valid_and_taken(convert, tmp_path, kind):
    recipe, images, count, target = TREES[kind]
    root = convert(kind, recipe, images)
    found = sorted(root.rglob("*.nii.gz"))
    assert len(found) == count
    stored = [nib.as_closest_canonical(nib.load(path)) for path in found if path.name.endswith("_T1w.nii.gz")]
    for of in images:
        given = nib.as_closest_canonical(nib.Nifti1Image(*of["T1w"]))
        (same,) = [one for one in stored if np.array_equal(np.asarray(one.dataobj), np.asarray(given.dataobj))]
        assert np.allclose(same.affine, given.affine, atol=5e-3)
    assert errors_of(root) == []
    result = synthprep(root, tmp_path / "out", "participant", "--target", target, "--dry-run")
    assert result.returncode == 0, result.stderr
    for label in {p.relative_to(root).parts[0] for p in found}:
        assert label in result.stdout + result.stderr


@pytest.mark.slow
def test_a_dataset_of_ct_is_valid_and_skipped_by_name(convert, tmp_path):
    """CQ500 has no MR image, and every visit needs a reference that is none of CT."""
    root = convert("CQ500", "CQ500", [{"ct": ct_head()}, {"ct": ct_head()}])
    assert [p.name for p in sorted(root.rglob("*.nii.gz"))] == [
        "sub-CQ500CT1_acq-PLAINTHIN_ct.nii.gz",
        "sub-CQ500CT2_acq-PLAINTHIN_ct.nii.gz",
    ]
    assert errors_of(root) == []
    result = synthprep(root, tmp_path / "out", "participant", "--contrasts", "ct", "--dry-run")
    assert result.returncode == 66
    assert "no T1w (it has ct)" in result.stdout + result.stderr


@pytest.mark.slow
def test_what_was_converted_is_processed(convert, phantom_cohort, tmp_path):
    """A simulated head as MetaImage in the tree of BraTS, through the participant level."""
    stem = phantom_cohort / "sub-01/ses-1/anat/sub-01_ses-1"
    images = {}
    for contrast in ("T1w", "FLAIR"):
        loaded = nib.load(f"{stem}_{contrast}.nii.gz")
        images[contrast] = (np.asarray(loaded.dataobj), loaded.affine)
    root = convert("BraTS-MHA", "BraTS", [images])
    result = synthprep(root, tmp_path / "out", "participant", "--sloppy", "--resolution", "4")
    assert result.returncode == 0, result.stderr
    label = "sub-LGGbrats2013pat00011"
    made = tmp_path / "out" / label / "anat"
    assert (made / f"{label}_space-T1w_desc-preproc_FLAIR.nii.gz").is_file()
    assert errors_of(tmp_path / "out") == []
