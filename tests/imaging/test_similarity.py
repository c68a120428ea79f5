"""Normalized mutual information, and the search with it."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.imaging.similarity import Similarity, normalized_information
from bidsapp.imaging.transforms import LinearTransform

SHAPE = (70, 80, 60)


@pytest.fixture(scope="module")
def pair():
    """Return a smooth random image of 2.5 mm voxels, the same moved by 6 mm with another contrast, and a mask."""
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 3).astype(np.float32)
    affine = np.diag([2.5, 2.5, 2.5, 1.0])
    moved = affine.copy()
    moved[:3, 3] += (6, 0, 0)
    mask = np.zeros(SHAPE, np.uint8)
    mask[20:50, 20:60, 15:45] = 1
    return nib.Nifti1Image(noise, affine), nib.Nifti1Image(noise**2 - noise, moved), nib.Nifti1Image(mask, affine)


def shifted(mm):
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    return LinearTransform(matrix)


def test_strangers_share_one_and_twins_two():
    random = np.random.default_rng(0)
    a, b = random.integers(0, 8, (2, 100000))
    strangers, twins = np.zeros((2, 8, 8))
    np.add.at(strangers, (a, b), 1)
    np.add.at(twins, (a, a), 1)
    assert normalized_information(strangers) == pytest.approx(1, abs=1e-3)
    assert normalized_information(twins) == pytest.approx(2)
    assert normalized_information(np.diag([5, 0, 0])) == 1  # two constant images


def test_the_search_finds_the_motion(pair):
    similarity = Similarity(*pair)
    found = similarity.refine(LinearTransform(np.eye(4)))
    assert similarity.distance_mm(found.transform, shifted((6, 0, 0))) < 0.2
    assert found.moved_mm == pytest.approx(6, abs=0.2)
    assert found.similarity > similarity(LinearTransform(np.eye(4))) + 0.1


def test_images_that_do_not_meet_share_nothing(pair):
    assert Similarity(*pair)(shifted((500, 0, 0))) == 1


def test_a_correction_turns_about_the_centre_of_the_brain(pair):
    similarity = Similarity(*pair)
    turned = similarity.corrected(LinearTransform(np.eye(4)), np.array([0, 0, 60 * np.radians(10), 0, 0, 0]))
    assert turned.rotation_deg == pytest.approx(10)
    assert turned.displacement_mm(similarity.centre) == pytest.approx(0, abs=1e-9)
