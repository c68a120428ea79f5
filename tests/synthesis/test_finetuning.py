"""Fine-tuning, and whom its networks have seen before."""

import dataclasses

import pytest
import torch

from bidsapp.errors import DataError
from bidsapp.scales import IntensityScale
from bidsapp.synthesis.bundle import read_bundle, write_bundle
from bidsapp.synthesis.ensemble import stored_pairs, train_bundle
from bidsapp.synthesis.finetuning import RATE, WARMUP, Start, choose_start, continued, earlier_splits
from bidsapp.synthesis.folds import Fold
from bidsapp.synthesis.manifest import Images, Origin
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.pseudonyms import pseudonyms
from bidsapp.synthesis.splits import Split, folds_of, read_splits, write_splits
from bidsapp.synthesis.training import make_fabric, train

from ..derived import CALIBRATION

IMAGES = Images("robust", "T1w", {"T1w": "robust", "FLAIR": "robust"}, ((2.0,) * 3,) * 2)


def split(name, fold, *, label=None):
    return Split(f"{label or name}_ses-1", label or name, fold, True, f"{name:>064}")


@pytest.fixture
def parent(plan, tmp_path):
    """Three networks: ``1`` and ``9`` were held out by the second, ``2`` by the third, ``8`` by none."""
    networks = [build_network(plan.network, plan.inputs, plan.channels, seed) for seed in range(3)]
    splits = [split("1", 1, label="sub-A"), split("9", 1), split("2", 2), split("7", 0)]
    about = {
        "calibration": CALIBRATION,
        "training_key": "k",
        "version": "0.9",
        "extra": {},
        "earlier": [split("8", None)],
    }
    scale = IntensityScale("robust", 100.0, 20.0)
    return write_bundle(tmp_path / "parent", plan, IMAGES, networks, scale, splits, **about)


def folds(*held_out):
    return [Fold(number, frozenset(people)) for number, people in enumerate(held_out)]


def known_as(pair, name):
    return dataclasses.replace(pair, fingerprint=f"{name:>064}")


def test_a_fold_starts_from_a_network_that_never_saw_whom_it_holds_out(parent, pairs):
    pairs = [known_as(pair, name) for pair, name in zip(pairs, ("new", "2", "1", "other"), strict=True)]
    start = choose_start(parent, folds({"sub-01"}, {"sub-02"}, {"sub-03"}), pairs)
    assert start.networks == (0, 2, 1)  # nobody knows the first
    assert start.origin == Origin("parent", "0.9", parent.sha256, (0, 2, 1))
    third = build_network("unet", 6, parent.plan.channels, 2).state_dict()
    assert all(torch.equal(tensor, third[name]) for name, tensor in start.weights(1).items())
    assert choose_start(parent, folds({"sub-01", "sub-02"}, {"sub-03"}), pairs).networks == (2, 1)
    # Whom the bundle does not know is given the networks that the fewest others start from.
    strangers = [*folds({"sub-01"}, {"sub-04"}, {"sub-03"}, {"sub-05"})]
    assert choose_start(parent, strangers, pairs).networks == (0, 2, 1, 0)


def test_a_participant_is_known_by_a_visit_that_is_not_learned_from(parent, pairs):
    sibling = dataclasses.replace(known_as(pairs[3], "2"), participant="sub-01")
    pairs = [known_as(pairs[0], "new"), known_as(pairs[1], "other"), sibling]
    assert choose_start(parent, folds({"sub-01"}, {"sub-02"}), pairs).networks == (2, 0)


@pytest.mark.parametrize("name", ["1", "8"])
def test_a_fold_for_which_every_network_has_seen_somebody_is_refused(parent, pairs, name):
    pairs = [known_as(pairs[0], "2"), known_as(pairs[1], name), known_as(pairs[2], "new")]
    with pytest.raises(DataError, match="whom fold 1 holds out: sub-01, sub-02") as raised:
        choose_start(parent, folds({"sub-03"}, {"sub-01", "sub-02"}), pairs)
    assert "--crossval" in raised.value.hint


def test_whom_only_the_earlier_networks_saw_keeps_a_fold_that_never_did(parent):
    start = Start(parent, (1, 0, 1))
    now = [split("1", 2, label="sub-01"), split("new", 0)]
    again = dataclasses.replace(parent, splits=(*parent.splits, split("1b", 1, label="sub-A")))
    earlier = earlier_splits(dataclasses.replace(start, bundle=again), now)
    assert {s.fingerprint.strip("0"): s.fold for s in earlier} == {
        "8": None,  # was lost before
        "9": 2,  # two folds started from the second network, and neither has seen it
        "2": None,  # no fold started from the third network
        "7": 1,
        "1b": 2,  # its participant is in the new training and held out by the third fold
    }


def test_a_label_of_another_dataset_is_somebody_else_unless_a_scan_is_known(parent):
    people = [split("3", 0, label="sub-01"), split("4", 1, label="sub-02"), split("4b", 1, label="sub-02")]
    people[2] = dataclasses.replace(people[2], visit="sub-02_ses-2")
    bundle = dataclasses.replace(parent, splits=tuple(people), earlier=())
    now = [split("5", 0, label="sub-01"), split("4", 1, label="sub-03"), split("6", 0, label="sub-02")]
    names = pseudonyms(people)
    earlier = earlier_splits(Start(bundle, (0, 1)), now)
    assert [(s.visit, s.participant) for s in earlier] == [
        (names["sub-01_ses-1"], names["sub-01"]),
        (names["sub-02_ses-2"], "sub-03"),  # who was sub-02 there
    ]
    everybody = (*earlier, *now)
    named = pseudonyms(everybody)
    assert len({s.participant for s in everybody}) == 4
    assert len({named[s.participant] for s in everybody}) == 4
    assert len({named[s.visit] for s in everybody}) == 5
    assert named[names["sub-01"]] == names["sub-01"]


def test_two_people_of_one_label_who_are_in_two_folds_now_keep_none(parent):
    people = [split(name, 1, label="sub-A") for name in ("3", "4", "5")]
    bundle = dataclasses.replace(parent, splits=tuple(people), earlier=())
    (left,) = earlier_splits(Start(bundle, (1, 1)), [split("3", 0), split("4", 1)])
    assert (left.fingerprint, left.fold) == (people[2].fingerprint, None)


def test_splits_round_trip(tmp_path, pairs):
    splits = (split("1", 1), split("2", None))
    write_splits(tmp_path / "s.tsv", splits)
    assert read_splits(tmp_path / "s.tsv") == splits
    assert folds_of(splits, [known_as(pairs[0], "1"), known_as(pairs[1], "2")]) == {1, None}
    assert folds_of(splits, [known_as(pairs[0], "3")]) == frozenset()
    twice = (*splits, split("1", 2, label="sub-B"))  # one person under two labels
    assert folds_of(twice, [known_as(pairs[0], "1")]) == {1, 2}


def test_who_is_in_two_folds_was_held_out_of_none(parent, pairs):
    pairs = [known_as(pairs[0], "1"), known_as(pairs[1], "new")]
    parent = dataclasses.replace(parent, splits=(*parent.splits, split("1", 2, label="sub-B")))
    with pytest.raises(DataError, match="every network of it has seen sub-01"):
        parent.fold_of(pairs[:1])
    with pytest.raises(DataError, match="whom fold 1 holds out: sub-01"):
        choose_start(parent, folds({"sub-02"}, {"sub-01"}), pairs)


def test_the_plan_keeps_the_network_and_lowers_the_rate(plan):
    before = dataclasses.replace(plan, channels=(8, 16), features=("mask",), patch=32, batch=3, loss="mse")
    tuned = continued(plan, before, None)
    assert (tuned.channels, tuned.features, tuned.patch, tuned.batch) == ((8, 16), ("mask",), 32, 3)
    assert (tuned.loss, tuned.learning_rate, tuned.warmup) == ("l1+gradient", RATE * plan.learning_rate, WARMUP)
    assert continued(plan, before, 0.01).learning_rate == 0.01


def test_a_bundle_remembers_where_it_started_and_whom_that_had_seen(parent, pairs, plan, tmp_path):
    pairs = [known_as(pair, name) for pair, name in zip(pairs, ("new", "2", "1", "other"), strict=True)]
    plan = dataclasses.replace(plan, max_steps=1)
    fabric = make_fabric("cpu", "32-true")
    split_up = folds({"sub-01"}, {"sub-02"}, {"sub-03"})
    start = choose_start(parent, split_up, pairs)
    with stored_pairs(pairs, plan.features, tmp_path / "cache") as (stored, _):
        about = {"images": IMAGES, "key": "k", "version": "1", "fabric": fabric, "start": start}
        goal, checkpoints = tmp_path / "models/x", tmp_path / "checkpoints"
        bundle = train_bundle(
            goal, pairs, stored, split_up, plan, None, **about, on_step=lambda *_: None, checkpoints=checkpoints
        )
        learned = [volume for pair, volume in stored.items() if pair.participant != "sub-02"]
        alone = train(learned, plan, fabric, weights=parent.network(2).state_dict())
    assert read_bundle(goal) == bundle
    assert bundle.origin == start.origin
    assert bundle.folds == 3
    tuned = bundle.network(1).state_dict()
    assert all(torch.equal(tensor, tuned[name]) for name, tensor in alone.network.state_dict().items())

    assert bundle.fold_of([known_as(pairs[0], "7")]) == 0  # its network started from one that held ``7`` out
    assert bundle.fold_of([known_as(pairs[0], "9")]) == 2
    assert bundle.fold_of([known_as(pairs[0], "1")]) == 2
    assert bundle.fold_of([known_as(pairs[0], "nobody")]) is None
    with pytest.raises(DataError, match="every network of it has seen sub-01") as raised:
        bundle.fold_of([known_as(pairs[0], "8")])
    assert raised.value.hint == "apply the bundle that it was initialized from"
