"""RAVEL: an unwanted factor that is known, taken out of images that were and were not learned from."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.grid import Grid
from bidsapp.imaging.ravel import control_region, fit_ravel, unwanted
from bidsapp.imaging.transforms import LinearTransform

SHAPE = (12, 12, 12)


@pytest.fixture
def cohort():
    """Twenty images of one anatomy and an unwanted effect; the region of fluid; the effect; its size in each."""
    random = np.random.default_rng(0)
    anatomy, effect = random.normal(size=SHAPE), random.uniform(0.5, 1.5, SHAPE)
    region = np.zeros(SHAPE, bool)
    region[4:8, 4:8, 4:12] = True
    factors = random.normal(size=20)
    images = [(anatomy + f * effect + 0.05 * random.normal(size=SHAPE)).astype(np.float32) for f in factors]
    return images, region, effect, factors


def everywhere(region):
    return np.ones(region.sum(), bool)


def covered_by(images, region, views=None):
    """Return what `fit_ravel` takes of images, all of them whole or with their views."""
    views = [np.ones(SHAPE, bool) for _ in images] if views is None else views
    controls, covered = (np.array([array[region] for array in arrays]) for arrays in (images, views))
    return controls, covered, images, views


def test_a_slab_neither_becomes_the_factor_nor_loses_its_own(cohort):
    images, _, effect, factors = cohort
    region = np.zeros(SHAPE, bool)
    region[2:10, 2:10, 4:12] = True
    views, slabs = [np.ones(SHAPE, bool) for _ in images], [image.copy() for image in images]
    for view, slab in list(zip(views, slabs, strict=True))[:2]:  # a tenth of the cohort lacks the upper third
        view[:, :, 8:] = False
        slab[~view] = -10  # fill, ten deviations away
    learned = fit_ravel(*covered_by(slabs, region, views))
    for number in (0, 1, 19):
        part = learned.factor(slabs[number][region], views[number][region]) * learned.effect
        assert np.abs(part - (factors[number] - factors.mean()) * effect).mean() < 0.06
    blind = fit_ravel(*covered_by(slabs, region))  # takes coverage for the factor
    found = [blind.factor(slab[region], everywhere(region)) for slab in slabs]
    assert abs(np.corrcoef(found, factors)[0, 1]) < 0.7


def test_a_new_slab_is_measured_where_it_is_covered(cohort):
    images, region, _, _ = cohort
    learned = fit_ravel(*covered_by(images[:15], region))
    part = np.zeros(SHAPE, bool)
    part[:, :, :11] = True
    cut = np.where(part, images[17], -10)
    assert learned.factor(cut[region], part[region]) == pytest.approx(
        learned.factor(images[17][region], everywhere(region)), abs=0.01
    )
    part[:, :, 6:] = False
    with pytest.raises(DataError, match="only 32 of the 128"):
        learned.factor(cut[region], part[region])


def test_the_unwanted_part_goes_and_the_anatomy_stays(cohort):
    images, region, _, factors = cohort
    learned = fit_ravel(*covered_by(images[:15], region))
    rest = [image - learned.factor(image[region], everywhere(region)) * learned.effect for image in images]
    before, after = (np.std(stack, axis=0)[~region].mean() for stack in (images, rest))
    assert before > 0.8
    assert after < 0.08
    assert np.corrcoef(rest[19].ravel(), images[int(np.abs(factors).argmin())].ravel())[0, 1] > 0.99


def test_the_effect_is_carried_to_the_grid_of_an_image(cohort):
    images, region, effect, factors = cohort
    learned = fit_ravel(*covered_by(images, region))
    shift = np.eye(4)
    shift[:3, 3] = (4.0, 0, 0)  # two voxels
    grid = Grid(np.diag([2.0, 2, 2, 1]), SHAPE)
    part = unwanted(
        grid.image(learned.effect),
        learned.factor(images[0][region], everywhere(region)),
        grid.image(images[0]),
        LinearTransform(shift),
    )
    expected = (factors[0] - np.mean(factors)) * effect
    assert np.abs(part.get_fdata()[2:] - expected[:-2]).mean() < 0.1
    assert isinstance(part, nib.Nifti1Image)


def test_too_few_images_or_too_little_fluid_are_errors(cohort):
    images, region, _, _ = cohort
    with pytest.raises(DataError, match="4 visits"):
        fit_ravel(*covered_by(images[:3], region))
    count = np.zeros(SHAPE, int)
    count[:2, :2, :2] = 20
    with pytest.raises(DataError, match="only 8 voxels"):
        control_region(count, 20)
    count[:8, :8, :8] = 19
    assert control_region(count, 20).sum() == 512
