"""Ways through the participant level that are not the usual one, coarse and quick."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bidsapp.imaging.quality import mask_overlap
from bidsapp.imaging.transforms import LinearTransform, mean_displacement, read_itk
from bidsapp.phantom.deformation import rigid

from ..imaging.test_header_zoo import REFUSED
from ..painted import paint

pytestmark = pytest.mark.slow

STEM = "sub-01/ses-1/anat/sub-01_ses-1"
MNI = "MNI152NLin2009aSym"


def synthprep(*words):
    command = [sys.executable, "-m", "bidsapp", *map(str, words), "--nprocs", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result


def errors_of(out):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    result = subprocess.run([validator, out, "--format", "json"], capture_output=True, text=True, check=False)
    issues = json.loads(result.stdout)["issues"]["issues"]
    return [issue for issue in issues if issue["severity"] == "error"]


@pytest.fixture(scope="module")
def raw(phantom_cohort, tmp_path_factory):
    """One participant with T1w and FLAIR."""
    folder = tmp_path_factory.mktemp("raw") / "bids"
    ignored = shutil.ignore_patterns("sub-02", "sub-03", "sourcedata")
    return shutil.copytree(phantom_cohort, folder, ignore=ignored)


@pytest.fixture(scope="module")
def run(raw, tmp_path_factory):
    """The visit with all that can be written of it."""
    out = tmp_path_factory.mktemp("all") / "out"
    spaces = ("--output-spaces", "T1w", f"{MNI}:res-4", "--template-registration", "affine")
    synthprep(raw, out, "participant", "--sloppy", "--write-bias-field", *spaces)
    return out


def test_images_in_a_standard_space_lie_on_each_other_and_on_the_template(run):
    from bidsapp.imaging.template import load_template

    assert errors_of(run) == []
    template = load_template(MNI, 4)
    mask, t1w, flair = (
        nib.load(run / f"{STEM}_space-{MNI}_res-4_desc-{end}.nii.gz")
        for end in ("brain_mask", "preproc_T1w", "preproc_FLAIR")
    )
    assert mask.shape == t1w.shape == flair.shape == template.mask.shape
    assert mask_overlap(mask, template.mask) > 0.93
    assert json.loads((run / f"{STEM}_space-{MNI}_res-4_desc-brain_mask.json").read_text())["Resolution"]
    page = (run / "sub-01_ses-1.html").read_text()
    assert page.count(f"<h3>T1w in {MNI}Res4") == page.count(f"<h3>FLAIR in {MNI}Res4") == 1
    row = (run / "sub-01/ses-1/sub-01_ses-1_scans.tsv").read_text().splitlines()
    assert float(row[1].split("\t")[row[0].split("\t").index("template_dice")]) > 0.93


def test_a_zoo_of_bad_scans_costs_the_others_nothing(run, raw, tmp_path):
    zoo = shutil.copytree(raw, tmp_path / "zoo")
    bad = {f"bad{number}": what for number, what in enumerate(REFUSED)}
    for label, what in bad.items():
        data, affine, _ = REFUSED[what]
        path = zoo / f"sub-{label}/anat/sub-{label}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(np.asarray(data, np.int16), affine), path)
    command = [sys.executable, "-m", "bidsapp", zoo, tmp_path / "out", "participant", "--sloppy", "--nprocs", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"1 done, {len(bad)} failed" in result.stderr.splitlines()[-1]
    (status,) = (json.loads(path.read_text()) for path in (tmp_path / "out/logs").glob("*/status.json"))
    said = {visit["visit"]: visit["reason"] for visit in status["visits"] if visit["state"] == "failed"}
    assert all(REFUSED[what][2] in said[f"sub-{label}"] for label, what in bad.items())
    for end in ("desc-preproc_T1w", "space-T1w_desc-normalized_FLAIR"):
        assert (tmp_path / f"out/{STEM}_{end}.nii.gz").read_bytes() == (run / f"{STEM}_{end}.nii.gz").read_bytes()


def test_the_bias_field_is_on_the_grid_of_the_acquired_image(run, raw):
    field, image = nib.load(run / f"{STEM}_desc-biasfield_FLAIR.nii.gz"), nib.load(raw / f"{STEM}_FLAIR.nii.gz")
    assert field.shape == image.shape
    assert np.allclose(field.affine, image.affine, atol=1e-3)
    assert field.get_fdata().min() > 0


def test_masks_and_transforms_of_another_run_are_used(run, raw, tmp_path):
    out = tmp_path / "out"
    given = ("--skull-strip", "precomputed", "--bias-correction", "precomputed", "--derivatives", f"first={run}")
    synthprep(raw, out, "participant", "--sloppy", *given)
    assert errors_of(out) == []
    assert mask_overlap(*(nib.load(folder / f"{STEM}_desc-brain_mask.nii.gz") for folder in (run, out))) > 0.99
    transform = f"{STEM}_from-FLAIR_to-T1w_mode-image_xfm"
    assert (run / f"{transform}.txt").read_bytes() == (out / f"{transform}.txt").read_bytes()
    sources = json.loads((out / f"{STEM}_desc-brain_mask.json").read_text())["Sources"]
    assert sources == [f"bids:first:{STEM}_desc-brain_mask.nii.gz"]
    images = [nib.load(folder / f"{STEM}_desc-preproc_T1w.nii.gz").get_fdata() for folder in (run, out)]
    assert np.abs(images[0] - images[1]).max() < 0.02 * images[0].max()  # one more interpolation, to the same grid
    sidecars = [json.loads((folder / f"{STEM}_desc-preproc_T1w.json").read_text()) for folder in (run, out)]
    assert sidecars[0]["SourceSHA256"] == sidecars[1]["SourceSHA256"]  # the identity is that of the acquired image
    assert f"bids:first:{STEM}_desc-preproc_T1w.nii.gz" in sidecars[1]["Sources"]
    assert "first" in json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]


def test_the_references_own_grid(raw, tmp_path):
    synthprep(raw, tmp_path / "out", "participant", "--resolution", "native", "--normalization", "fcm")
    ours, acquired = (
        nib.load(tmp_path / f"out/{STEM}_desc-preproc_T1w.nii.gz"),
        nib.load(raw / f"{STEM}_T1w.nii.gz"),
    )
    assert ours.shape == acquired.shape
    assert np.allclose(ours.affine, acquired.affine, atol=1e-3)
    flair = nib.load(tmp_path / f"out/{STEM}_space-T1w_desc-normalized_FLAIR.nii.gz")
    assert flair.shape == ours.shape


def test_a_ct_keeps_its_hounsfield_units(test_data, tmp_path):
    t1w, ct, brain = paint(test_data / "labelmaps/training_seg_01.nii.gz")
    moved = rigid((5, -3, 8), (6, -4, 9))
    ct = nib.Nifti1Image(np.asarray(ct.dataobj), np.linalg.inv(moved) @ ct.affine)
    anat = tmp_path / "raw/sub-01/anat"
    anat.mkdir(parents=True)
    (tmp_path / "raw/dataset_description.json").write_text('{"Name": "painted", "BIDSVersion": "1.10.0"}')
    (anat.parent / "ct").mkdir()
    for image, path in ((t1w, anat / "sub-01_T1w.nii.gz"), (ct, anat.parent / "ct/sub-01_ct.nii.gz")):
        image.set_qform(image.affine, 1)
        image.set_sform(image.affine, 1)
        nib.save(image, path)
    out = tmp_path / "out"
    synthprep(tmp_path / "raw", out, "participant", "--contrasts", "ct", "--resolution", "2,2,2")
    assert errors_of(out) == []
    written = nib.load(out / "sub-01/anat/sub-01_space-T1w_desc-preproc_ct.nii.gz")
    assert voxel_sizes(written.affine) == pytest.approx([2, 2, 2])
    inside = nib.load(out / "sub-01/anat/sub-01_desc-brain_mask.nii.gz").get_fdata() > 0
    assert np.median(written.get_fdata()[inside]) == pytest.approx(35, abs=6)  # HU of the painted brain
    head = nib.load(out / "sub-01/anat/sub-01_space-T1w_desc-headct_mask.nii.gz").get_fdata() > 0
    assert head[inside].mean() > 0.99
    found = read_itk(out / "sub-01/anat/sub-01_from-ct_to-T1w_mode-image_xfm.txt")
    assert mean_displacement(found, LinearTransform(np.linalg.inv(moved)), brain) < 1.0
    voxels = np.linalg.inv(ct.affine) @ found.matrix @ written.affine
    values = np.clip(ct.get_fdata(), -1024, 3071)
    expected = ndimage.affine_transform(values, voxels, output_shape=written.shape, mode="nearest")
    off = np.abs(written.get_fdata() - np.clip(expected, values.min(), values.max()))[head]
    assert off.max() <= 0.51  # whole HU: nothing but one interpolation has changed them
