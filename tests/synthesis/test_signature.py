"""What a verdict reads of an image."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from bidsapp.synthesis.signature import MASK, OUTPUT, TARGET, sign

from .brains import PLAN, head, of, predicted


def test_numbers_are_those_of_the_geometry():
    mask = np.zeros((30, 30, 30), bool)
    mask[5:25, 5:25, 5:25] = True
    volume = of(np.zeros(mask.shape), mask, np.diag([-1.0, 2, 3, 1]))
    found = sign(volume, PLAN, predicted(np.zeros(mask.shape)))
    # Twenty voxels: the standard deviation of 0 to 19 is the root of (20² − 1) / 12.
    expected = np.log(np.sqrt(399 / 12) * np.array([1, 2, 3]))
    extents = [found.numbers[f"extent:{axis}"] for axis in ("left-right", "back-front", "down-up")]
    assert extents == pytest.approx(expected)
    assert found.numbers["spacing"] == pytest.approx(np.log(3))
    assert found.numbers["border"] == 0
    assert found.maps[MASK].sum() == pytest.approx(np.sqrt(12 / 399 * 400) ** 3 * (10 / 4.4) ** 3, rel=0.01)
    assert found.constant == ("T1w", "prediction")
    # The box ends where the image does: two faces of 20 × 20 voxels of 2 × 3 mm, less what the box leaves free.
    cut = replace(volume, box=(slice(0, 30), *volume.box[1:]), mask=np.roll(mask, -5, axis=0))
    assert sign(cut, PLAN, predicted(np.zeros(mask.shape))).numbers["border"] == pytest.approx(24)


def test_quality_numbers_of_the_scan_are_read_where_there_are_some():
    volume, image = head(0)
    quality = ({"inu_range": 2.0, "fber": 100.0, "efc": 0.5, "snr": 9.0},)
    found = sign(replace(volume, pair=replace(volume.pair, quality=quality)), PLAN, predicted(image)).numbers
    assert [found[f"{kind}:T1w"] for kind in ("field", "air", "entropy")] == pytest.approx(
        [np.log(2), np.log(100), 0.5]
    )
    bare = sign(volume, PLAN, predicted(image)).numbers
    assert found.keys() - bare.keys() == {"field:T1w", "air:T1w", "entropy:T1w"}


def test_noise_and_thick_slices_are_in_the_grain():
    volume, image = head(0)
    clean = sign(volume, PLAN, predicted(image)).numbers
    source = np.where(volume.mask, volume.inputs[0] - 5, 0)
    noise = np.random.default_rng(1).normal(size=source.shape)
    noisy = sign(of(source + noise, volume.mask), PLAN, predicted(image)).numbers
    assert noisy["grain:T1w"] - clean["grain:T1w"] > 1
    thick = sign(of(ndimage.gaussian_filter1d(source, 1.2, axis=2), volume.mask), PLAN, predicted(image)).numbers
    changes = {name: thick[name] - clean[name] for name in clean if name.startswith("grain along:T1w")}
    assert changes["grain along:T1w down-up"] < -0.2
    assert sum(changes.values()) == pytest.approx(0, abs=1e-6)


def test_it_says_what_it_was_given_and_no_more():
    volume, image = head(0)
    full = sign(volume, PLAN, predicted(image, 0.25), unfamiliarity=0.5)
    assert full.numbers["uncertainty"] == pytest.approx(np.log(0.25))
    assert full.numbers["unfamiliarity"] == pytest.approx(np.log(0.5))
    assert set(full.maps) == {MASK, "T1w", OUTPUT, TARGET}
    assert full.constant == ()
    lacking = replace(volume, pair=replace(volume.pair, sources=(None,)), target=None)
    less = sign(lacking, PLAN, predicted(image))
    assert set(less.maps) == {MASK, OUTPUT}
    assert not less.quantiles
    assert {"unfamiliarity", "edges:target"}.isdisjoint(less.numbers)
