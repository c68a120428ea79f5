"""Brain mask and bias field against known truth."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.bias import correct_bias, estimate_bias_field, shrink_factor
from bidsapp.imaging.brain import METHODS, find_brain, foreground, given_brain, is_stripped
from bidsapp.imaging.headers import check_image
from bidsapp.imaging.quality import mask_overlap
from bidsapp.phantom.truth import read_truth


def test_shrink_factor_follows_the_voxels():
    def image(size):
        return nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.diag([*size, 1]))

    assert [shrink_factor(image(s)) for s in ((1, 1, 1), (0.9, 0.9, 3), (2, 2, 2), (6, 6, 6))] == [4, 3, 2, 1]


@pytest.mark.slow
def test_masks_and_bias_fields_of_phantoms_are_the_true_ones(phantom_cohort):
    alike = []
    for path in sorted(phantom_cohort.glob("sub-*/ses-*/anat/*.nii.gz")):
        visit, contrast = path.name.removesuffix(".nii.gz").rsplit("_", 1)
        truth = read_truth(phantom_cohort, visit, contrast)
        image = check_image(path).image
        mask = find_brain(image).mask
        assert mask_overlap(mask, truth.brain) >= 0.95
        field = estimate_bias_field(image, mask)
        inside = np.asarray(truth.brain.dataobj) > 0
        alike.append(np.corrcoef(*(np.log(f.get_fdata()[inside]) for f in (field, truth.bias)))[0, 1])
    assert len(alike) == 6
    assert np.mean(alike) >= 0.95
    assert min(alike) >= 0.92


@pytest.mark.slow
def test_correcting_keeps_the_level_and_divides_by_the_field(phantom_cohort):
    image = check_image(phantom_cohort / "sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz").image
    mask = read_truth(phantom_cohort, "sub-01_ses-1", "FLAIR").brain
    field = estimate_bias_field(image, mask)
    inside = np.asarray(mask.dataobj) > 0
    assert np.log(field.get_fdata()[inside]).mean() == pytest.approx(0, abs=1e-3)
    corrected = correct_bias(image, field).get_fdata()
    assert np.allclose(corrected * field.get_fdata(), image.get_fdata(), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("visit", ["sub-04_ses-1", "sub-12_ses-1"])
def test_real_brain(test_data, visit):
    subject, session = visit.split("_")
    image = check_image(test_data / f"openms/{subject}/{session}/anat/{visit}_T1w.nii.gz").image
    (truth,) = (test_data / "truth/openms").rglob(f"{visit}*T1w*mask.nii.gz")
    assert mask_overlap(find_brain(image).mask, nib.load(truth)) >= 0.94


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "complaint"), [(0.5, r"only \d+ ml"), (1.5, r"\d+ ml of brain")])
def test_a_head_of_another_size_is_an_error(phantom_cohort, factor, complaint):
    image = nib.load(phantom_cohort / "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz")
    with pytest.raises(DataError, match=complaint):
        find_brain(nib.Nifti1Image(image.get_fdata(dtype=np.float32), np.diag([*[factor] * 3, 1]) @ image.affine))


def test_an_empty_foreground_is_an_error():
    with pytest.raises(DataError, match="no brain was found"):
        find_brain(nib.Nifti1Image(np.zeros((60, 60, 60), np.float32), np.diag([3.0, 3, 3, 1])))


@pytest.mark.slow
@pytest.mark.parametrize("contrast", ["T1w", "T2w", "FLAIR"])
def test_a_stripped_head_is_recognized_and_keeps_its_lesion(test_data, contrast):
    image = check_image(test_data / f"stroke1/sub-01/anat/sub-01_{contrast}.nii.gz").image
    brain = find_brain(image)
    assert brain.stripped
    inside = np.asarray(brain.mask.dataobj) > 0
    assert inside[np.asarray(image.dataobj) > 0].all()


@pytest.mark.slow
def test_robex_agrees_with_the_truth(phantom_cohort):
    truth = read_truth(phantom_cohort, "sub-01_ses-1", "T1w")
    brain = find_brain(check_image(phantom_cohort / "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz").image, "robex")
    assert (brain.method, brain.stripped) == ("robex", False)
    assert mask_overlap(brain.mask, truth.brain) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("visit", ["sub-04_ses-1", "sub-12_ses-1"])
def test_a_template_finds_real_brains_without_weights(test_data, visit):
    subject, session = visit.split("_")
    image = check_image(test_data / f"openms/{subject}/{session}/anat/{visit}_T1w.nii.gz").image
    (truth,) = (test_data / "truth/openms").rglob(f"{visit}*T1w*mask.nii.gz")
    brain = find_brain(image, "template")
    assert brain.method == "template"
    assert mask_overlap(brain.mask, nib.load(truth)) >= 0.92


def test_auto_says_which_of_its_methods_found_the_brain(monkeypatch):
    image, inside = ball(85)[0], ball(65)[1]
    monkeypatch.setitem(METHODS, "template", lambda _: inside)
    monkeypatch.setitem(METHODS, "deepbet", lambda _: inside)
    assert find_brain(image, "auto").method == "deepbet"
    monkeypatch.setitem(METHODS, "deepbet", lambda _: inside & False)
    assert find_brain(image, "auto").method == "template"


def ball(radius, size=60, spacing=3.0, background=0.0):
    distance = np.linalg.norm(np.moveaxis(np.indices([size] * 3), 0, -1) - size / 2, axis=-1) * spacing
    values = np.where(distance < radius, 100 + distance, background).astype(np.float32)
    return nib.Nifti1Image(values, np.diag([spacing, spacing, spacing, 1.0])), distance < radius


def test_skip_takes_the_outline_and_fills_holes():
    image, inside = ball(65)
    data = np.array(image.dataobj)
    data[28:32, 28:32, 28:32] = 0  # a cyst without signal
    brain = find_brain(nib.Nifti1Image(data, image.affine), "skip")
    assert brain.stripped
    assert np.array_equal(np.asarray(brain.mask.dataobj) > 0, inside)


def test_a_given_mask_stays_one_though_the_image_came_without_skull():
    image, inside = ball(65)
    smaller = nib.Nifti1Image(ball(62)[1].astype(np.uint8), image.affine)
    brain = given_brain(image, smaller)
    assert (brain.method, brain.stripped) == ("precomputed", True)
    assert int(np.asarray(brain.mask.dataobj).sum()) < inside.sum()
    assert find_brain(image, "skip").method == "outline"


def test_a_given_mask_on_another_grid_is_carried_to_the_images():
    image, _ = ball(85)
    coarse = nib.Nifti1Image(ball(65, size=30, spacing=6.0)[1].astype(np.uint8), np.diag([6.0, 6, 6, 1]))
    brain = given_brain(image, coarse)
    assert (brain.method, brain.stripped, brain.mask.shape) == ("precomputed", False, image.shape)
    assert mask_overlap(brain.mask, nib.Nifti1Image(ball(65)[1].astype(np.uint8), image.affine)) > 0.97


def test_a_given_mask_that_lies_elsewhere_is_an_error():
    image, inside = ball(65)
    affine = image.affine.copy()
    affine[0, 3] = 500
    with pytest.raises(DataError, match="only 0 ml"):
        given_brain(image, nib.Nifti1Image(inside.astype(np.uint8), affine))


@pytest.mark.parametrize(("shift_mm", "share"), [(20, None), (45, "86%"), (60, "77%")])
def test_a_given_mask_that_leaves_the_head_is_an_error(shift_mm, share):
    image, inside = ball(85)[0], ball(65)[1]
    affine = image.affine.copy()
    affine[0, 3] = shift_mm
    mask = nib.Nifti1Image(inside.astype(np.uint8), affine)
    if share is None:
        assert given_brain(image, mask).method == "precomputed"
        return
    with pytest.raises(DataError, match=f"only {share} of the brain mask"):
        given_brain(image, mask)
    noise = np.random.default_rng(0).uniform(1, 9, image.shape).astype(np.float32)
    noisy = nib.Nifti1Image(np.asarray(image.dataobj) + noise, image.affine)
    assert given_brain(noisy, mask).method == "precomputed"  # nothing tells where the head ends


@pytest.mark.parametrize(("outer", "recognized"), [(65, True), (68, True), (85, False)])
def test_hardly_more_than_a_brain_is_a_stripped_head(outer, recognized):
    assert is_stripped(foreground(ball(outer, background=-1.0)[0]), ball(64)[1]) is recognized


def test_a_stripped_head_is_recognized_though_its_background_was_interpolated():
    image, inside = ball(65)
    faint = np.random.default_rng(0).normal(0, 0.02, image.shape)
    noisy = nib.Nifti1Image((image.get_fdata() + faint).astype(np.float32), image.affine)
    assert np.array_equal(foreground(noisy), inside)
