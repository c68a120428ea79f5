"""Quality numbers."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.imaging import quality


def image(data, size=1.0):
    return nib.Nifti1Image(np.asarray(data, np.float32), np.diag([size, size, size, 1]))


def test_volume_counts_millimetres():
    assert quality.brain_volume_ml(image(np.ones((10, 10, 10)), 2.0)) == pytest.approx(8.0)


def test_overlap_of_half_shifted_boxes():
    a, b = np.zeros((2, 20, 10, 10))
    a[0:10], b[5:15] = 1, 1
    assert quality.mask_overlap(image(a), image(b)) == pytest.approx(0.5)
    assert quality.mask_overlap(image(a * 0), image(b * 0)) == 0


def test_information_is_one_for_strangers_and_two_for_twins():
    random = np.random.default_rng(0)
    a, b = random.uniform(size=(2, 60, 60, 60))
    mask = image(np.ones(a.shape))
    assert quality.joint_information(image(a), image(b), mask) == pytest.approx(1, abs=0.01)
    assert quality.joint_information(image(a), image(a), mask) == pytest.approx(2, abs=1e-6)


@pytest.mark.parametrize(
    ("before", "after", "dice", "reasons"),
    [(1.04, 1.10, 0.97, 0), (1.04, 1.10, 0.60, 1), (1.10, 1.05, 0.97, 1), (1.0, 1.005, 0.5, 2)],
)
def test_verdict(before, after, dice, reasons):
    verdict = quality.registration_verdict(nmi_before=before, nmi_after=after, mask_dice=dice)
    assert len(verdict) == reasons
