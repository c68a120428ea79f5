"""Tissues of another shape than the template's."""

import numpy as np
import pytest
from scipy import ndimage

from bidsapp.phantom.anatomy import Head
from bidsapp.phantom.morphology import NUCLEI_BORDER_MM, NUCLEI_MM, varied


@pytest.fixture(scope="module")
def head():
    """A ball of white matter in a shell of grey matter in fluid, of 3 mm voxels around the origin, blurred."""
    far = np.linalg.norm(np.indices((50, 50, 50)) - 24.5, axis=0)
    sharp = [far < 14, (far >= 14) & (far < 18), (far >= 18) & (far < 22)]
    wm, gm, csf = (ndimage.gaussian_filter(part.astype(np.float32), 1.5) for part in sharp)
    affine = np.diag([3.0, 3, 3, 1])
    affine[:3, 3] = -73.5
    return Head({"csf": csf, "gm": gm, "wm": wm, "fat": np.zeros_like(wm)}, far < 22, affine)


def test_what_is_brain_stays_brain(head):
    new = varied(head, np.random.default_rng(0))
    before, after = (sum(h.fractions.values()) for h in (head, new))
    assert np.allclose(before, after, atol=1e-5)
    assert min(f.min() for f in new.fractions.values()) >= 0
    assert all(f.dtype == np.float32 for f in new.fractions.values())
    assert list(new.fractions) == ["csf", "gm", "wm", "fat", "deep"]


def test_amounts_vary_with_the_seed_only(head):
    def volumes(seed):
        return {name: f.sum() for name, f in varied(head, np.random.default_rng(seed)).fractions.items()}

    assert volumes(1) == volumes(1)
    drawn = [volumes(seed) for seed in range(20)]
    for tissue in ("csf", "gm"):
        share = [v[tissue] / sum(v.values()) for v in drawn]
        assert max(share) > 1.1 * min(share), tissue


def test_borders_are_sharper_than_the_template(head):
    def mixed(fractions):
        white, grey = fractions["wm"], fractions["gm"] + fractions.get("deep", 0)
        return (np.minimum(white, grey) > 0.3).sum()

    drawn = [mixed(varied(head, np.random.default_rng(seed)).fractions) for seed in range(10)]
    assert np.median(drawn) < mixed(head.fractions)


def test_nuclei_lie_below_the_cortex(head):
    deep = varied(head, np.random.default_rng(0)).fractions["deep"]
    places = np.argwhere(deep > 1e-4) * 3 - 73.5
    assert len(places) > 0
    for axis, (low, high) in enumerate(NUCLEI_MM):
        assert low - 4 * NUCLEI_BORDER_MM < places[:, axis].min()
        assert places[:, axis].max() < high + 4 * NUCLEI_BORDER_MM
