from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp.reports.cohort_histograms import Histograms, Normalized, evenly, histogram_drawings, histograms


def image(path, values):
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), path)
    return path


@pytest.fixture
def images(tmp_path):
    """Three visits whose brains differ by a factor, which normalization takes away."""
    random, found = np.random.default_rng(0), []
    mask = np.zeros((20, 20, 20))
    mask[5:15, 5:15, 5:15] = 1
    inside = image(tmp_path / "mask.nii.gz", mask)
    for number, factor in enumerate((100.0, 200.0, 400.0)):
        brain = random.normal(1, 0.2, mask.shape)
        before = image(tmp_path / f"{number}_before.nii.gz", np.where(mask, factor * brain, 9e9))
        after = image(tmp_path / f"{number}_after.nii.gz", np.where(mask, brain, 9e9))
        found.append(Normalized(f"sub-0{number}", "T1w", before, after, inside))
    return found


def test_normalization_makes_histograms_agree(images):
    before, after = histograms(images)
    assert before.disagreement() > 0.5
    assert after.disagreement() < 0.1
    assert before.edges[-1] < 800  # what is outside the mask does not count
    for part in (before, after):
        for density in part.densities.values():
            assert density.sum() * (part.edges[1] - part.edges[0]) == pytest.approx(1)


def test_an_unreadable_image_costs_its_line_only(images, tmp_path):
    (tmp_path / "1_after.nii.gz").write_bytes(b"damaged")
    before, after = histograms([*images, images[0]._replace(visit="sub-09", mask=Path("nowhere.nii.gz"))])
    assert list(before.densities) == list(after.densities) == ["sub-00", "sub-02"]


def test_disagreement_is_0_bits_of_equal_and_1_of_disjoint_histograms():
    edges = np.array([0.0, 1.0, 2.0])
    one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert Histograms(edges, {"a": one, "b": one}).disagreement() == pytest.approx(0)
    assert Histograms(edges, {"a": one, "b": other}).disagreement() == pytest.approx(1)
    assert Histograms(edges, {"a": one}).disagreement() is None


def test_visits_are_chosen_evenly(images):
    many = [images[0]._replace(visit=f"sub-{n:03}") for n in range(100)]
    chosen = [item.visit for item in evenly(many)]
    assert (len(chosen), chosen[0], chosen[-1]) == (20, "sub-000", "sub-099")
    assert evenly(images) == images


def test_drawings_have_a_line_for_each_visit(images):
    (drawn,) = histogram_drawings({"T1w": histograms(images), "ct": histograms([])})
    assert (drawn["contrast"], drawn["visits"]) == ("T1w", 3)
    (_, before, bits), (_, after, _) = drawn["pair"]
    assert before.count('class="line') == after.count('class="line') == 3
    assert float(bits) > 0.5
