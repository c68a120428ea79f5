import nibabel as nib
import numpy as np
import pytest

from bidsapp.reports.panels import View, checkerboard, only_inside, outline, panel, tissue_region, views
from bidsapp.reports.slices import AXIAL, CORONAL, Box, Head, canonical

WHOLE = Box((0, 0, 0), (40, 40, 10))


def test_an_outline_lies_on_the_region_border_in_mm():
    region = np.zeros((40, 40, 10), bool)
    region[10:30, 8:20] = True
    line = outline(region, (1.0, 2.0, 5.0), View(AXIAL, 5), WHOLE, "red")
    (curve,) = line.curves
    assert curve.min(axis=0) == pytest.approx([10, 16], abs=0.01)
    assert curve.max(axis=0) == pytest.approx([30, 40], abs=0.01)


def test_an_outline_closes_at_the_image_border_and_leaves_specks_out():
    region = np.ones((40, 40, 10), bool)
    (curve,) = outline(region, (1.0, 1.0, 1.0), View(AXIAL, 5), WHOLE, "red").curves
    assert np.array_equal(curve[0], curve[-1])
    speck = np.zeros((40, 40, 10), bool)
    speck[3:5, 3:5] = True
    assert outline(speck, (1.0, 1.0, 1.0), View(AXIAL, 5), WHOLE, "red").curves == []


def test_a_panel_has_its_size_in_mm_and_its_letters():
    head = canonical(nib.Nifti1Image(np.zeros((40, 40, 10), np.float32), np.diag([0.5, 0.5, 4.0, 1.0])))
    picture = panel(head, View(CORONAL, 3), WHOLE, (0.0, 1.0))
    assert picture.size == (20.0, 40.0)
    assert picture.pixels.shape == (10, 40)
    assert picture.edges == ("L", "R")


def test_views_give_each_plane_its_count():
    chosen = views(np.ones((8, 8, 8), bool), [(AXIAL, 2), (CORONAL, 1)])
    assert [view.plane.name for view in chosen] == ["axial", "axial", "coronal"]


def test_the_checkerboard_mixes_halves_in_squares_of_20_mm():
    first = Head(np.full((80, 40, 20), 10, np.float32), (0.5, 1.0, 2.0))
    second = Head(np.full((80, 40, 20), 300, np.float32), (0.5, 1.0, 2.0))
    mixed = checkerboard(first, second, ((0.0, 10.0), (300.0, 400.0))).voxels
    assert mixed[:40, :20, :10].tolist() == np.ones((40, 20, 10)).tolist()
    assert not mixed[40:, :20, :10].any()
    assert mixed.mean() == pytest.approx(0.5)


def test_the_tissue_region_finds_the_dark_hole():
    voxels = np.full((30, 30, 30), 100, np.float32)
    voxels[10:20, 10:20, 10:20] = 20
    voxels += np.random.default_rng(0).normal(0, 5, voxels.shape).astype(np.float32)
    brain = np.zeros(voxels.shape, bool)
    brain[2:28, 2:28, 2:28] = True
    region = tissue_region(Head(voxels, (1.0, 1.0, 1.0)), brain)
    assert not region[12:18, 12:18, 12:18].any()
    assert region[3:8, 3:27, 3:27].all()
    assert not region[~brain].any()


def test_only_inside_blanks_the_rest():
    region = np.zeros((4, 4, 4), bool)
    region[1, 2, 3] = True
    shown = only_inside(Head(np.ones((4, 4, 4), np.float32), (1.0, 1.0, 1.0)), region).voxels
    assert np.isfinite(shown).sum() == 1
    assert shown[1, 2, 3] == 1
