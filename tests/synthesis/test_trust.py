"""Verdicts on images: clean ones are trusted, and each fault is named."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage, stats

from bidsapp.errors import DataError
from bidsapp.synthesis.acceptance import Accepted, read_trust, write_trust
from bidsapp.synthesis.checks import CHECKS, check_of, reason
from bidsapp.synthesis.signature import sign
from bidsapp.synthesis.trust import LABELS, REJECTED, _accepted, fit_trust, judge

from .brains import AFFINE, PLAN, head, of, predicted


def signature(seed, **extra):
    volume, image = head(seed)
    return sign(volume, PLAN, predicted(image, 0.2 + seed / 1000), **extra)


@pytest.fixture(scope="module")
def reference():
    return fit_trust([(f"sub-{n:02d}", signature(n, unfamiliarity=0.5)) for n in range(8)])


def verdict(reference, source, mask, image, affine=AFFINE, scale=0.2, **extra):
    return judge(sign(of(source, mask, affine), PLAN, predicted(image, scale), **extra), reference)


def parts(seed=20):
    volume, image = head(seed)
    return np.where(volume.mask, volume.inputs[0] - 5, 0), volume.mask, image


def test_clean_images_are_trusted(reference):
    verdicts = [judge(signature(seed, unfamiliarity=0.5), reference) for seed in range(20, 40)]
    assert [v.label for v in verdicts] == ["trust"] * 20
    assert {reason for v in verdicts for reason in v.reasons} == set()
    assert all(0 <= score <= 1 for v in verdicts for score in v.scores.values())
    assert (reference.participants, reference.visits, reference.false_alarms) == (8, 8, 0.02)


def test_no_image_of_a_network_that_a_map_of_intensities_beats_is_trusted(reference, tmp_path):
    clean = signature(20, unfamiliarity=0.5)
    beaten = replace(reference, errors=(0.585, 0.488))
    write_trust(tmp_path / "trust.json", beaten)
    found = judge(clean, read_trust(tmp_path / "trust.json"))
    assert found.label == "caution"
    assert found.reasons[0].endswith("on held-out participants its error was 0.585, that of the map 0.488")
    assert judge(clean, replace(reference, errors=(0.4, 0.488))).label == "trust"
    volume, image = head(20)
    turned = sign(replace(volume, inputs=volume.inputs[:, ::-1]), PLAN, predicted(image[::-1], 0.2))
    assert judge(turned, beaten).label == judge(turned, reference).label == "reject"


def test_the_quality_of_the_whole_scan_is_judged():
    def scan(seed, **measured):
        volume, image = head(seed)
        random = np.random.default_rng(seed)
        usual = {"inu_range": 1.3 + 0.05 * random.normal(), "fber": 500.0, "efc": 0.5, **measured}
        pair = replace(volume.pair, quality=(usual,))
        return sign(replace(volume, pair=pair), PLAN, predicted(image, 0.2 + seed / 1000))

    reference = fit_trust([(f"sub-{n:02d}", scan(n)) for n in range(8)])
    assert judge(scan(20), reference).label == "trust"
    shaded = judge(scan(20, inu_range=5.0), reference)
    assert "T1w had a stronger bias field" in shaded.reasons[0]
    assert "is 5, most accepted" in shaded.reasons[0]
    assert shaded.scores["field:T1w"] > judge(scan(20, inu_range=3.0), reference).scores["field:T1w"] > 1
    assert "the air around the head is bright in T1w" in judge(scan(20, fber=5.0), reference).reasons[0]
    assert judge(scan(20, fber=1e6), reference).label == "trust"  # darker air is no fault
    assert "the intensities of T1w are smeared out" in judge(scan(20, efc=0.8), reference).reasons[0]


def test_another_contrast_is_rejected(reference):
    source, mask, image = parts()
    found = verdict(reference, -source, mask, -image)
    assert found.label == "reject"
    assert any("T1w looks like another contrast" in reason for reason in found.reasons)
    assert any("prediction looks like another contrast" in reason for reason in found.reasons)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_turned_volume_is_rejected(reference, axis):
    source, mask, image = (np.rot90(a, 1, [k for k in range(3) if k != axis]) for a in parts())
    found = verdict(reference, source, mask, image)
    assert found.label == "reject"
    assert found.scores["orientation:T1w"] > 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_a_head_is_rejected(reference, axis):
    source, mask, image = parts()
    half = mask & (np.indices(mask.shape)[axis] > mask.shape[axis] / 2)
    found = verdict(reference, source, half, image)
    assert found.label == "reject"
    assert any("is short along" in reason for reason in found.reasons)


def test_a_blank_image_is_rejected(reference):
    source, mask, image = parts()
    found = verdict(reference, source * 0, mask, image)
    assert found.label == "reject"
    assert "T1w has one intensity throughout the brain" in found.reasons
    assert verdict(reference, source * np.nan, mask, image).label == "reject"
    assert verdict(reference, source, mask, image * 0).label == "reject"


def test_verdicts_worsen_with_severity(reference):
    source, mask, image = parts()
    noise = np.random.default_rng(3).normal(size=source.shape)
    noisy = [verdict(reference, source + s * noise, mask, image) for s in (0, 0.1, 0.4, 1.6, 6.4)]
    blurred = [
        verdict(reference, ndimage.gaussian_filter1d(source, s, axis=2) if s else source, mask, image)
        for s in (0, 0.3, 0.6, 1.2, 2.4)
    ]
    for verdicts in (noisy, blurred):
        ranks = [LABELS.index(v.label) for v in verdicts]
        assert ranks == sorted(ranks)
        assert (ranks[0], ranks[-1]) == (0, 2)
    assert any("noisier" in reason for reason in noisy[-1].reasons)
    assert any("thick slices" in reason for reason in blurred[-1].reasons)


def test_uncertain_unfamiliar_and_blurred_predictions_are_named(reference):
    source, mask, image = parts()
    unsure = verdict(reference, source, mask, image, scale=2.0)
    assert (unsure.label, len(unsure.reasons)) == ("reject", 1)
    assert "less sure" in unsure.reasons[0]
    assert verdict(reference, source, mask, image, scale=0.01).label == "trust"
    assert "features" in verdict(reference, source, mask, image, unfamiliarity=5.0).reasons[0]
    blurred = verdict(reference, source, mask, ndimage.gaussian_filter(image, 3))
    assert any("the prediction is blurred" in reason for reason in blurred.reasons)


def test_another_grid_and_a_cut_field_of_view_are_named(reference):
    source, mask, image = parts()
    coarse = verdict(reference, source, mask, image, affine=AFFINE @ np.diag([1, 1, 1.5, 1]))
    assert any("voxels are larger" in reason for reason in coarse.reasons)
    volume = of(source, mask)
    low = int(np.flatnonzero(mask.any(axis=(0, 1)))[0])
    at_edge = (*volume.box[:2], slice(0, mask.shape[2] - low - 4))
    inputs, cut = volume.inputs[..., low + 4 :], mask[..., low + 4 :]
    volume = replace(volume, inputs=inputs, mask=cut, box=at_edge)
    found = judge(sign(volume, PLAN, predicted(image[..., low + 4 :])), reference)
    assert any("field of view cuts the brain" in reason for reason in found.reasons)


def test_a_tolerance_is_the_prediction_interval():
    """Without a spread of its own a cohort has the prior's, weighed as four participants against the others."""
    same = signature(0)
    found = fit_trust([(f"sub-{n}", same) for n in range(6)], false_alarms=0.1)
    sides = sum(len(check_of(name).sides) for name in found.accepted)
    factor = stats.t.ppf(1 - 0.1 / sides, 9) * np.sqrt(7 / 6)
    accepted = found.accepted["extent:down-up"]
    assert accepted.middle == pytest.approx(same.numbers["extent:down-up"])
    assert accepted.tolerance == pytest.approx(factor * np.sqrt(4 / 9) * CHECKS["extent"].spread)


def test_a_source_that_few_have_is_judged_by_those_few():
    """Three of many participants say little of the spread: at their number the rate of false alarms holds."""
    random = np.random.default_rng(0)
    spread, tail = CHECKS["grain"].spread, 0.001
    misses = [
        abs(new - accepted.middle) > accepted.tolerance
        for *known, new in random.normal(0, spread, (4000, 4))
        for accepted in [_accepted([(f"sub-{n}", value) for n, value in enumerate(known)], spread, tail)]
    ]
    assert np.mean(misses) < 2 * tail  # nominal, of both sides
    common = signature(0)
    own = {"grain:T2w": 0.5}
    few = [replace(common, numbers={**common.numbers, **own}) for _ in range(3)]
    many = [(f"sub-{n}", common) for n in range(3, 12)]
    found = fit_trust([*((f"sub-{n}", has) for n, has in enumerate(few)), *many], false_alarms=0.1).accepted
    tail = 0.1 / sum(len(check_of(name).sides) for name in found)
    factor = stats.t.ppf(1 - tail, 4 + 3 - 1) * np.sqrt(1 + 1 / 3)
    assert found["grain:T2w"].tolerance == pytest.approx(factor * np.sqrt(4 / 6) * CHECKS["grain"].spread)
    alone = fit_trust([("sub-0", few[0]), ("sub-0", few[1]), *many], false_alarms=0.1).accepted["grain:T2w"]
    assert alone.tolerance == pytest.approx(stats.t.ppf(1 - tail, 4) * np.sqrt(2) * CHECKS["grain"].spread)
    assert found["extent:down-up"].tolerance < alone.tolerance


def test_a_participants_visits_are_no_others():
    """A visit is not compared with itself nor with its participant's other visit."""
    once = fit_trust([(f"sub-{n}", signature(n)) for n in range(4)])
    twice = fit_trust([(f"sub-{n}", signature(n)) for n in (0, 1, 2, 3, 3)])
    assert (twice.participants, twice.visits) == (4, 5)
    assert twice.accepted["likeness:T1w"].middle == pytest.approx(once.accepted["likeness:T1w"].middle, abs=0.1)
    alone = fit_trust([("sub-0", signature(0))])
    assert alone.participants == 1
    assert judge(signature(0), alone).label == "trust"


def test_what_is_missing_is_not_checked(reference):
    source, mask, image = parts()
    found = verdict(reference, source, mask, image)
    assert "unfamiliarity" not in found.scores
    assert {"spacing", "shape", "grain:T1w", "sharpness"} <= set(found.scores)
    few = replace(reference, accepted={"spacing": Accepted(np.log(4), 0.1)})
    assert judge(signature(3), few).scores == {"spacing": pytest.approx(0, abs=1e-6)}


def test_a_reference_survives_its_file(reference, tmp_path):
    write_trust(tmp_path / "trust.json", reference)
    again = read_trust(tmp_path / "trust.json")
    assert again.accepted == reference.accepted
    shaken = signature(25, unfamiliarity=0.9)
    assert judge(shaken, again).scores == pytest.approx(judge(shaken, reference).scores, abs=2e-3)
    (tmp_path / "trust.json").write_text('{"Maps": []}')
    with pytest.raises(DataError, match=r"trust\.json: nothing to judge by"):
        read_trust(tmp_path / "trust.json")


def test_a_reason_says_by_how_much():
    assert reason("likeness:T1w", np.arctanh(-0.4), np.arctanh(0.9), np.arctanh(0.9) - np.arctanh(0.7)) == (
        "T1w looks like another contrast, another orientation or an uneven field: agreement of T1w with the "
        "training set's mean is -0.4, least accepted 0.7"
    )
    assert reason("extent:down-up", np.log(20), np.log(30), np.log(1.2)) == (
        "the brain is short along down-up: cut off, or turned: standard deviation of the brain along down-up is "
        "20 mm, least accepted 25 mm"
    )
    assert REJECTED == 2
