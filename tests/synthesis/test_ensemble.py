"""Folds, cross-fitting and the bundle."""

import dataclasses
import json
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from bidsapp.errors import DataError, NoInputError
from bidsapp.scales import IntensityScale
from bidsapp.synthesis.bundle import Split, read_bundle, write_bundle
from bidsapp.synthesis.ensemble import (
    cohort_scale,
    find_bundle,
    make_splits,
    stored_pairs,
    train_bundle,
    training_key,
)
from bidsapp.synthesis.folds import make_folds
from bidsapp.synthesis.manifest import Images, images_of, read_manifest, write_manifest
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.plan import make_plan, plan_from_json, plan_to_json
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import make_fabric

from ..derived import CALIBRATION

IMAGES = Images("ravel", "T1w", {"T1w": "whitestripe", "FLAIR": "whitestripe"}, ((1.0,) * 3, (1.0, 1.0, 1.2)))


def test_every_participant_is_held_out_once(pairs):
    many = [
        dataclasses.replace(pairs[0], visit=f"v{n}", participant=f"sub-{n % 7}", fingerprint=f"{n}")
        for n in range(14)
    ]
    folds = make_folds(many, leave_one_out=False, seed=0)
    assert len(folds) == 5
    assert sorted(p for fold in folds for p in fold.held_out) == sorted({pair.participant for pair in many})
    assert len(make_folds(many, leave_one_out=True, seed=0)) == 7


def test_one_participant_cannot_be_split(pairs):
    with pytest.raises(NoInputError, match="1 participant"):
        make_folds([pairs[0], pairs[3]], leave_one_out=False, seed=0)


def test_plan_round_trip(plan):
    assert plan_from_json(plan_to_json(plan), "x") == plan
    with pytest.raises(DataError, match=r"x\.json"):
        plan_from_json({"network": "unet"}, "x.json")


def test_target_scale_is_the_cohorts_median(pairs):
    scale = cohort_scale(pairs[:3])
    assert (scale.offset, scale.scale) == (102.0, 20.0)


@pytest.fixture
def bundle(pairs, plan, tmp_path):
    plan = dataclasses.replace(plan, max_steps=2)
    baseline = make_plan(
        "seed-resnet", ("T1w",), "FLAIR", minutes=5, max_steps=1, precision="32-true", seed=0, patch=16
    )
    with stored_pairs(pairs, plan.features, tmp_path / "cache") as (stored, unusable):
        assert not unusable
        return train_bundle(
            tmp_path / "models/x",
            pairs,
            stored,
            make_folds(pairs, leave_one_out=True, seed=0),
            plan,
            baseline,
            images=IMAGES,
            key="k",
            version="1",
            fabric=make_fabric("cpu", "32-true"),
            on_step=lambda fold, plan, step: None,
            checkpoints=tmp_path / "checkpoints",
        )


def test_a_pair_that_cannot_be_read_costs_only_itself(pairs, plan, tmp_path):
    broken = pairs[1]
    broken.target.write_bytes(broken.target.read_bytes()[:400])
    with stored_pairs(pairs, plan.features, tmp_path / "cache") as (stored, unusable):
        assert list(stored) == [pairs[0], pairs[2]]
        (error,) = unusable.values()
        assert str(broken.target) in error.message
        assert not any(
            split.trained_on
            for split in make_splits([broken], stored, make_folds(pairs, leave_one_out=True, seed=0))
        )
    assert not (tmp_path / "cache").exists()


def test_pairs_are_held_in_a_quarter_of_the_memory_and_streamed_beyond(pairs, plan, tmp_path, caplog):
    caplog.set_level("INFO")
    size = TrainingVolume.hold(load_volume(pairs[0], plan.features)).gigabytes
    for memory, held in ((0, 0), (4 * 2.5 * size, 2), (4 * 3.1 * size, 3)):
        with stored_pairs(pairs, plan.features, tmp_path / "cache", memory) as (stored, _):
            assert [isinstance(v.inputs, np.memmap) for v in stored.values()] == [n >= held for n in range(3)]
            assert len(list(tmp_path.glob("cache/*"))) == 3 - held
        assert f"{held * size:.3g} GB in memory, {(3 - held) * size:.3g} GB streamed" in caplog.messages[-1]
    assert not (tmp_path / "cache").exists()


def test_more_visits_are_streamed_than_files_could_be_open_at_first(pairs, tmp_path):
    many = [dataclasses.replace(pairs[0], visit=f"v{number}") for number in range(60)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(file.name) for file in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, limits[1]))
    try:
        with stored_pairs(many, (), tmp_path / "cache") as (stored, unusable):
            assert (len(stored), unusable) == (60, {})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_bundle(bundle, pairs, tmp_path):
    again = read_bundle(bundle.path)
    assert again == bundle
    assert bundle.folds == 3
    assert bundle.images == images_of(read_manifest(bundle.path), bundle.path) == IMAGES
    assert {split.visit for split in bundle.splits} == {pair.visit for pair in pairs[:3]}
    metrics = (bundle.path / "metrics.tsv").read_text().splitlines()
    assert [line.split("\t")[4] for line in metrics] == ["axial_range", *["n/a"] * 12]
    assert len(metrics) == 1 + 3 * 4  # the network, floor, forest and a second network for each held-out visit
    assert not (tmp_path / "cache").exists()
    assert (bundle.trust.participants, bundle.trust.visits) == (3, 3)
    assert again.trust.accepted == bundle.trust.accepted
    assert {"likeness:T1w", "sharpness", "uncertainty"} <= set(bundle.trust.accepted)
    assert find_bundle(bundle.path, "k") == bundle
    assert {(r.visit, r.fold) for r in bundle.calibration.residuals} == {(s.visit, s.fold) for s in bundle.splits}
    assert bundle.calibration.factor() > 0
    assert find_bundle(bundle.path, "other") is None

    for pair in pairs[:3]:  # who was in the training set is told by the voxels, not by the label
        fold = bundle.fold_of([dataclasses.replace(pair, participant="sub-99")])
        held_out = next(split for split in bundle.splits if split.visit == pair.visit)
        assert fold == held_out.fold
    assert bundle.fold_of([dataclasses.replace(pairs[0], fingerprint="new")]) is None
    weights = [bundle.network(fold).state_dict() for fold in range(3)]
    assert not torch.equal(weights[0]["heads.image.weight"], weights[1]["heads.image.weight"])


def test_a_changed_file_is_noticed(bundle):
    path = bundle.path / "fold-1.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"fold-1\.safetensors"):
        read_bundle(bundle.path)
    assert find_bundle(bundle.path, "k") is None


def test_a_bundle_of_another_format_is_refused(bundle):
    path = bundle.path / "bundle.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in content.items() if name != "Format"}))
    with pytest.raises(DataError, match="format 1; this version of the software reads format 3"):
        read_bundle(bundle.path)
    assert find_bundle(bundle.path, "k") is None  # is trained again


def test_what_images_a_bundle_reads_is_part_of_its_identity(bundle):
    write_manifest(bundle.path, {**read_manifest(bundle.path), "Images": {**IMAGES.to_json(), "Reference": "T2w"}})
    assert read_bundle(bundle.path).sha256 != bundle.sha256


def test_key_follows_images_and_request(pairs):
    key = training_key(pairs, {"seed": 0})
    assert training_key(pairs[::-1], {"seed": 0}) == key
    assert training_key(pairs[:3], {"seed": 0}) == key  # the fourth has no target
    assert training_key(pairs, {"seed": 1}) != key
    image = pairs[0].target.read_bytes()
    pairs[0].target.write_bytes(image[:-1] + b"x")
    assert training_key(pairs, {"seed": 0}) != key


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_no_bundle_is_an_error_that_names_the_file(tmp_path, content):
    (tmp_path / "bundle.json").write_text(content)
    with pytest.raises(DataError, match=r"bundle\.json"):
        read_bundle(tmp_path)


def test_layers_by_two_names_are_written_and_read(plan, tmp_path):
    plan = dataclasses.replace(plan, network="dynunet", channels=(4, 8, 16))
    network = build_network(plan.network, plan.inputs, plan.channels, 1)
    about = {"calibration": CALIBRATION, "training_key": "k", "version": "1", "extra": {}}
    scale, splits = IntensityScale("robust", 0.0, 1.0), [Split("v", "sub-1", 0, True, "1")]
    read = write_bundle(tmp_path / "b", plan, IMAGES, [network], scale, splits, **about).network(0).state_dict()
    assert all(torch.equal(tensor, read[name]) for name, tensor in network.state_dict().items())
