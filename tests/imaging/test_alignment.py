"""The verdict on a registration."""

import numpy as np
import pytest

from bidsapp.imaging import registration
from bidsapp.imaging.alignment import Alignment, brain_overlap
from bidsapp.imaging.grid import Grid
from bidsapp.imaging.registration import Head, best_start
from bidsapp.imaging.transforms import LinearTransform

GOOD = {
    "mask_dice": 0.97,
    "covered": 1.0,
    "nmi_before": 1.04,
    "nmi_after": 1.10,
    "edge_overlap": 0.8,
    "residual_mm": 0.2,
    "rotation_deg": 3.0,
    "translation_mm": 4.0,
    "volume_ratio": 1.0,
}


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, 0),
        ({"mask_dice": 0.6}, 1),
        ({"covered": 0.6}, 0),
        ({"covered": 0.4}, 1),
        ({"nmi_before": 1.2}, 1),
        ({"residual_mm": 2.5}, 1),
        ({"rotation_deg": 120.0}, 1),
        ({"volume_ratio": 0.7}, 1),
        ({"nmi_after": 1.0, "mask_dice": 0.5}, 3),
    ],
)
def test_verdict(change, reasons):
    alignment = Alignment(**{**GOOD, **change})
    assert len(alignment.flags) == reasons
    assert alignment.columns() == {**GOOD, **change}


@pytest.fixture
def heads():
    """A head of 3 mm voxels, and its middle six tenths along z in the same space."""
    size, affine = 56, np.diag([3.0, 3, 3, 1])
    points = np.moveaxis(np.indices((size,) * 3), 0, -1) - size / 2
    distance = np.linalg.norm(points / (20, 24, 18), axis=-1)
    texture = np.cos(points[..., 0] / 4) + np.sin(points[..., 1] / 5) + np.cos(points[..., 2] / 3)
    values = np.where(distance < 1, 500 + 100 * texture, np.where(distance < 1.2, 200, 0)).astype(np.float32)
    grid = Grid(affine, (size,) * 3)
    whole = Head(grid.image(values), grid.image((distance < 1).astype(np.uint8)))
    return whole, Head(whole.image.slicer[:, :, 17:39], whole.mask.slicer[:, :, 17:39])


@pytest.mark.parametrize(("shift", "dice"), [(0.0, 1.0), (30.0, 0.67)])
def test_brains_are_compared_where_the_scan_looks(heads, shift, dice):
    whole, slab = heads
    motion = np.eye(4)
    motion[0, 3] = shift
    grid = Grid(whole.mask.affine, whole.mask.shape)
    found = brain_overlap(whole.mask, slab.image, slab.mask, LinearTransform(motion), grid)
    assert found.dice == pytest.approx(dice, abs=0.02)
    assert found.covered == pytest.approx(0.8, abs=0.02)  # of a ball's volume, the middle six tenths of its height


def test_a_slab_that_lies_right_starts_no_search(heads, monkeypatch):
    whole, slab = heads
    monkeypatch.setattr(registration, "_turns", lambda: pytest.fail("52 turns were tried"))
    found = best_start(whole, slab)
    assert np.abs(found.transform.matrix - np.eye(4)).max() < 0.2
