"""Which of several images of one contrast is used."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bidsapp.imaging.choice import best_image


@pytest.fixture
def head(tmp_path):
    """Return a function that saves a structured head: longest voxel edge in mm, blurring in voxels."""
    random = np.random.default_rng(0)
    sharp = np.where(ndimage.gaussian_filter(random.normal(size=(90, 90, 90)), 1.5) > 0.02, 100.0, 5.0)
    sharp[:8] = sharp[-8:] = 0

    def head(name, edge, blur=0.0):
        data = ndimage.gaussian_filter(sharp, blur) if blur else sharp
        image = nib.Nifti1Image(data.astype(np.float32), np.diag([1, 1, edge, 1]))
        image.set_qform(image.affine, 1)
        image.set_sform(image.affine, 1)
        nib.save(image, tmp_path / name)
        return tmp_path / name

    return head


def test_finer_voxels_win(head):
    assert best_image([head("a.nii", 3.0), head("b.nii", 1.0, blur=3)]) == 1


def test_among_equals_the_less_blurred_wins_and_a_thousandth_of_a_millimetre_is_equal(head):
    assert best_image([head("a.nii", 1.0, blur=3), head("b.nii", 1.001)]) == 1


@pytest.mark.parametrize(("edge", "best"), [(1.11, 1), (1.28, 1), (1.2, 1), (1.35, 0)])
def test_edges_within_a_fifth_of_a_millimetre_of_the_finest_are_equal(head, edge, best):
    assert best_image([head("a.nii", 1.09, blur=3), head("b.nii", edge), head("c.nii", 3.0)]) == best


def test_a_truncated_image_comes_last(head, tmp_path):
    whole = head("whole.nii.gz", 1.0)
    (tmp_path / "cut.nii.gz").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert best_image([tmp_path / "cut.nii.gz", head("b.nii", 2.0)]) == 1
    assert best_image([tmp_path / "cut.nii.gz"]) == 0


def test_what_cannot_be_read_comes_last(head, tmp_path):
    (tmp_path / "broken.nii").write_bytes(b"no image")
    assert best_image([tmp_path / "broken.nii", head("b.nii", 2.0)]) == 1
