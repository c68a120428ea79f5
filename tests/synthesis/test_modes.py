"""Input modes: what a network is shown, what it predicts of that, and that it learns from it."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage

from bidsapp.settings import (
    AUGMENTATIONS,
    INPUT_MODES,
    LOSSES,
    PLANAR_NETWORKS,
    SLICE_AXES,
    SLICED_MODES,
    SPATIAL_AUGMENTATIONS,
)
from bidsapp.synthesis import modes
from bidsapp.synthesis.augmentation import augment
from bidsapp.synthesis.checkpoint import Checkpoint
from bidsapp.synthesis.inference import predict
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.plan import RECIPES, make_plan, plan_from_json, plan_to_json
from bidsapp.synthesis.rates import find_rate
from bidsapp.synthesis.run import Run
from bidsapp.synthesis.sampling import PatchSampler, TrainingVolume, cut_out
from bidsapp.synthesis.sizing import size_to_minutes
from bidsapp.synthesis.training import in_steps, make_fabric, seconds_per_step, train

FABRIC = make_fabric("cpu", "32-true")
# Every mode, and those of slices along every axis.
SHOWN = [("patches", None), ("volumes", None), *((m, axis) for m in SLICED_MODES for axis in SLICE_AXES)]
FLAT = [pair for pair in SHOWN if pair[1]]
RAS = np.diag([2.0, 2, 2, 1])


def planned(mode, axis, extents=(14, 22, 18), network="unet", **changes):
    plan = make_plan(
        network,
        ("T1w",),
        "FLAIR",
        minutes=5,
        max_steps=12,
        precision="32-true",
        seed=0,
        patch=16,
        input_mode=mode,
        slice_axis=axis,
        extents=extents,
    )
    return dataclasses.replace(plan, **changes)


@pytest.fixture
def volume(pairs):
    """A visit of noise whose every edge differs, all of it brain."""
    loaded = load_volume(pairs[0], RECIPES["unet"]["features"])
    inputs = np.random.default_rng(0).normal(5, 1, (len(loaded.inputs), 14, 22, 18)).astype(np.float32)
    mask = np.ones(inputs.shape[1:], bool)
    return dataclasses.replace(loaded, inputs=inputs, mask=mask, target=inputs[0] / 2, loss_mask=mask, affine=RAS)


@pytest.fixture
def stored(volume, tmp_path):
    return TrainingVolume.store(volume, tmp_path / "v")


class Identity(torch.nn.Module):
    """Returns the first channel twice, of slabs the inner slices; stands for a network of any stride and reach."""

    def __init__(self, margin, stride=1, reach=0):
        super().__init__()
        self.margin, self.stride, self.reach = margin, stride, reach

    def forward(self, x):
        assert x.shape[2] % self.stride == x.shape[3] % self.stride == 0
        return x[:, [0, 0], ..., self.margin : x.shape[-1] - self.margin]


def test_the_command_line_knows_the_modes():
    assert set(SLICED_MODES) == modes.SLICED
    assert set(SLICE_AXES) == set(modes.ACROSS)
    assert set(INPUT_MODES) == {"patches", *modes.BATCHES}
    for name in RECIPES:
        if name in PLANAR_NETWORKS:
            build_network(name, 1, RECIPES[name]["channels"], 0, slices=1)
        else:
            with pytest.raises(TypeError):
                build_network(name, 1, RECIPES[name]["channels"], 0, slices=1)


@pytest.mark.parametrize(("mode", "axis"), SHOWN)
def test_identity_is_identity_in_every_mode(volume, mode, axis):
    for shape in ((31, 45, 23), (7, 34, 33), (37, 1, 20)):
        inputs = np.random.default_rng(1).normal(5, 1, (len(volume.inputs), *shape)).astype(np.float32)
        placed = dataclasses.replace(volume, inputs=inputs, mask=np.ones(shape, bool))
        for overlap in (None, 0, 1, 5, 12):
            for stride, flip in ((1, True), (4, False), (8, True)):
                plan = planned(mode, axis, flip_averaging=flip)
                network = Identity(modes.margin(plan), stride, reach=6)
                result = predict([network], placed, plan, FABRIC, window=24, overlap=overlap).image
                assert result.shape == shape
                assert np.abs(result - inputs[0]).max() < 1e-5


@pytest.mark.parametrize(
    ("mode", "axis", "shape", "order"),
    [
        ("patches", None, (16, 16, 16), (0, 1, 2)),
        ("volumes", None, (14, 22, 18), (0, 1, 2)),
        ("slices", "axial", (14, 22, 1), (0, 1, 2)),
        ("slices", "coronal", (14, 18, 1), (0, 2, 1)),
        ("slabs", "sagittal", (22, 18, 5), (1, 2, 0)),
        ("slice-patches", "sagittal", (16, 16, 1), (1, 2, 0)),
    ],
)
def test_shape_and_axes_follow_the_anatomy(mode, axis, shape, order):
    plan = planned(mode, axis)
    assert plan.patch == shape
    assert modes.axis_order(plan) == order
    assert plan_from_json(plan_to_json(plan), "") == plan
    assert modes.voxels_per_step(plan) == plan.batch * shape[0] * shape[1] * (shape[2] if axis is None else 1)


def test_a_plan_of_before_there_was_a_choice_is_one_of_patches(plan):
    old = plan_to_json(plan)
    del old["input_mode"], old["slice_axis"]
    assert plan_from_json({**old, "patch": 16}, "") == plan


@pytest.mark.parametrize(("mode", "axis"), SHOWN)
def test_a_batch_is_cut_out_of_volumes_along_the_axis(volume, stored, mode, axis):
    """Every patch is found in the volume, turned: the input with its neighbours around the target."""
    plan = planned(mode, axis, extents=modes.largest([stored]))
    batch = PatchSampler([stored], plan).draw(6)
    assert batch.inputs.shape == (6, plan.inputs, *plan.patch)
    assert batch.target.shape == batch.mask.shape == (6, 1, *modes.predicted(plan))
    order, k = modes.axis_order(plan), modes.margin(plan)
    assert order[batch.left_right] == 0
    turned = volume.inputs[0].astype(np.float16).astype(np.float32).transpose(order)
    for n in range(6):
        inner = batch.inputs[n, 0, ..., k : batch.inputs.shape[-1] - k].numpy()
        assert np.abs(inner - 2 * batch.target[n, 0].numpy())[batch.mask[n, 0] > 0].max() < 0.01
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(turned, [(0, 2), (0, 2), (k, k)]), plan.patch)
        assert (windows == batch.inputs[n, 0].numpy()).all((3, 4, 5)).sum() == 1


def test_neighbours_beyond_the_volume_are_air():
    array = np.arange(1, 25).reshape(1, 2, 3, 4)
    slab = cut_out(array, (0, 0, -2), (2, 4, 5))
    assert np.array_equal(slab[..., :3, 2:], array[..., :3])
    assert not slab[..., :2].any()
    assert not slab[..., 3, :].any()
    assert np.array_equal(cut_out(array, (0, 0, 3), (2, 3, 5))[..., :1], array[..., 3:])


@pytest.mark.parametrize("name", PLANAR_NETWORKS)
@pytest.mark.parametrize("slices", [1, 5])
def test_a_slice_is_predicted_from_its_neighbours_and_no_others(name, slices):
    channels = {"seed-resnet": (4,), "dynunet": (4, 8, 16)}.get(name, (4, 8, 8))
    network = build_network(name, 2, channels, 0, slices=slices).eval()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 17, 13, slices + 3, generator=generator)
    with torch.no_grad():
        whole = network(x)
        assert whole.shape == (2, 2, 17, 13, 4)
        for n in range(2):
            for slice_ in range(4):
                alone = network(x[n : n + 1, ..., slice_ : slice_ + slices])
                torch.testing.assert_close(alone[..., 0], whole[n : n + 1, ..., slice_], atol=1e-5, rtol=0)
        x[..., 0] += 1
        moved = (network(x) - whole).abs().amax((0, 1, 2, 3)) > 1e-6
    assert moved.tolist() == [True, False, False, False]


@pytest.mark.parametrize(("mode", "axis"), [("slabs", "sagittal"), ("slabs", "axial"), ("slices", "sagittal")])
def test_mirroring_is_from_left_to_right(stored, mode, axis):
    plan = planned(mode, axis, extents=modes.largest([stored]))
    batch = PatchSampler([stored], plan).draw(8)
    varied = augment(batch, 0, torch.Generator().manual_seed(0))
    side = {"sagittal": 2, "axial": 0}[axis]
    assert batch.left_right == side
    flipped = [not torch.equal(v, b) for v, b in zip(varied.inputs, batch.inputs, strict=True)]
    assert any(flipped) == (plan.patch[side] > 1)  # one sagittal slice is its own mirror image
    for n in np.flatnonzero(flipped):
        assert torch.equal(varied.inputs[n], batch.inputs[n].flip(1 + side))
        assert torch.equal(varied.target[n], batch.target[n].flip(1 + side))


@pytest.mark.parametrize("axis", SLICE_AXES)
def test_flip_averaging_makes_mirror_images_equal(volume, axis):
    plan = planned("slabs", axis, channels=(4, 8))
    network = build_network("unet", plan.inputs, plan.channels, 0, slices=plan.slices).eval()
    mirrored = dataclasses.replace(volume, inputs=volume.inputs[:, ::-1].copy())
    one, other = (predict([network], v, plan, FABRIC).image for v in (volume, mirrored))
    assert np.abs(one - other[::-1]).max() < 1e-4


@pytest.mark.parametrize(("mode", "axis"), SHOWN)
def test_every_loss_and_variation_is_finite_and_moves(stored, mode, axis):
    for loss in LOSSES:
        plan = planned(mode, axis, loss=loss, channels=(4, 8), augmentation="physics", batch=2)
        assert 0 < Run([stored], plan, FABRIC).step() < 50
    for augmentation in AUGMENTATIONS:
        if mode != "patches" and augmentation in SPATIAL_AUGMENTATIONS:
            continue
        batches = Run([stored], planned(mode, axis, augmentation=augmentation, channels=(4, 8)), FABRIC).batches
        for _ in range(4):
            assert torch.isfinite(batches.next().inputs).all()


def test_epochs_count_what_is_drawn(pairs, tmp_path):
    volumes = [TrainingVolume.store(load_volume(p, ()), tmp_path / p.visit) for p in pairs[:2]]
    assert modes.largest(volumes) == (26, 30, 24)

    def steps(mode, axis=None):
        plan = planned(mode, axis, modes.largest(volumes))
        return in_steps(dataclasses.replace(plan, max_steps=None, epochs=4), volumes).max_steps

    # Two brains of 20 × 22 × 20 voxels.
    assert steps("patches") == 9  # 4 × 17,600 / (2 × 16³), rounded up
    assert steps("volumes") == 8
    assert steps("slices", "axial") == steps("slabs", "sagittal") == 20  # 4 × 40 / 8
    assert steps("slices", "coronal") == 22
    assert steps("slice-patches", "axial") == 18  # 4 × 17,600 / (16 × 16²), rounded up


def test_minutes_may_choose_the_width_of_a_planar_network_and_nothing_of_volumes():
    timed = []

    def measure(plan, fabric):
        timed.append(plan.patch)
        return 0.0

    flat = planned("slices", "axial", max_steps=None)
    sized = size_to_minutes(flat, None, measure)
    assert (sized.patch, sized.channels) == ((14, 22, 1), (32, 64, 128, 256))
    assert timed == [(14, 22, 1)] * 2  # two sizes differ in the patch only
    whole = planned("volumes", None, max_steps=None)
    assert size_to_minutes(whole, None, measure) is whole


def test_a_step_of_slabs_is_timed():
    ticks = iter([0.0, 9.0, 10.0, 12.0, 20.0, 23.0, 30.0, 32.5])
    plan = planned("slabs", "axial", channels=(4, 8))
    assert seconds_per_step(plan, FABRIC, clock=lambda: next(ticks)) == 2.0


def test_the_methods_say_what_was_shown():
    said = {mode: modes.phrase(planned(mode, axis)) for mode, axis in SHOWN}
    assert said == {
        "patches": "patches of 16 × 16 × 16 voxels, 2 at a time",
        "volumes": "whole volumes, 1 at a time",
        "slabs": "sagittal slices with 2 neighbours on either side, 8 at a time",
        "slices": "sagittal slices, 8 at a time",
        "slice-patches": "patches of 16 × 16 voxels of sagittal slices, 16 at a time",
    }


def test_a_killed_training_on_slabs_ends_as_one_that_was_not(pairs, tmp_path):
    volumes = [TrainingVolume.store(load_volume(p, ()), tmp_path / p.visit) for p in pairs[:2]]
    plan = planned("slabs", "coronal", modes.largest(volumes), features=(), channels=(4, 8), max_steps=5)
    whole = train(volumes, plan, FABRIC)

    class Killed(BaseException):
        pass

    def kill(step):
        if step.number == 3:
            raise Killed

    with pytest.raises(Killed):
        train(volumes, plan, FABRIC, kill, checkpoint=Checkpoint(tmp_path / "c.pt", every=0))
    resumed = train(volumes, plan, FABRIC, checkpoint=Checkpoint(tmp_path / "c.pt"))
    states = [trained.network.state_dict() for trained in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert [step.loss for step in resumed.history] == [step.loss for step in whole.history]


def test_a_range_test_finds_a_rate_for_slices(pairs, tmp_path):
    volumes = [TrainingVolume.store(load_volume(p, ()), tmp_path / p.visit) for p in pairs[:2]]
    plan = planned("slices", "axial", modes.largest(volumes), features=(), channels=(4, 8), batch=4)
    tested, _ = find_rate(volumes, plan, FABRIC)
    assert 3e-4 < tested.learning_rate < 0.11


@pytest.mark.slow
@pytest.mark.parametrize("network", ["unet", "seed-resnet"])
@pytest.mark.parametrize(("mode", "axis"), SHOWN)
def test_it_learns_in_every_mode(pairs, tmp_path, network, mode, axis):
    """The target is a blurred source: of it a plane shows much, and the constant predictor nothing."""
    volumes = [TrainingVolume.store(load_volume(p, ()), tmp_path / p.visit) for p in pairs[:2]]
    steps = 80 if mode == "volumes" else 60
    recipe = {"features": (), "loss": "l1", "learning_rate": 2e-2, "augmentation": "none"}
    recipe["channels"] = (8, 16) if network == "unet" else (8,)
    plan = planned(mode, axis, modes.largest(volumes), network, max_steps=steps, **recipe)
    trained = train(volumes, plan, FABRIC)
    held_out = load_volume(pairs[2], ())
    image = predict([trained.network], held_out, plan, FABRIC).image
    error, constant = (
        np.abs(guess - held_out.target)[held_out.loss_mask].mean()
        for guess in (image, np.median(held_out.target[held_out.loss_mask]))
    )
    assert error < 0.6 * constant


@pytest.fixture(scope="module")
def blobs():
    """A head of smooth blobs and its blurred, inverted copy, one slice of which is as large as the windows."""
    noise = np.random.default_rng(0).normal(size=(136, 132, 24))
    source, goal = ndimage.gaussian_filter(noise, 1), ndimage.gaussian_filter(noise, 1.8)
    mask = np.zeros(noise.shape, bool)
    mask[8:-8, 8:-8, 2:-2] = True
    return (source / source.std()).astype(np.float32), (-goal / goal.std()).astype(np.float32), mask


@pytest.mark.slow
@pytest.mark.parametrize("network", ["unet", "seed-resnet"])
@pytest.mark.parametrize("mode", SLICED_MODES)
def test_windows_and_their_places_hardly_matter(blobs, pairs, tmp_path, mode, network):
    """Measured on a trained network, in shares of the range of intensities: largest difference of any voxel."""
    source, goal, mask = blobs
    loaded = dataclasses.replace(load_volume(pairs[0], ()), affine=RAS)
    volume = dataclasses.replace(
        loaded, inputs=np.where(mask, source + 5, 0)[None], mask=mask, target=goal, loss_mask=mask
    )
    stored = TrainingVolume.store(volume, tmp_path)
    channels = (8, 16, 16) if network == "unet" else (8,)
    plan = planned(mode, "axial", modes.largest([stored]), network, max_steps=40, channels=channels)
    plan = dataclasses.replace(plan, features=(), flip_averaging=False, batch=4)
    trained = train([stored], plan, FABRIC)
    whole = predict([trained.network], volume, plan, FABRIC).image
    spread, places = np.ptp(whole[mask]), []
    for edge in (64, 96, 128):  # of the windows in a slice
        windows = predict([trained.network], volume, plan, FABRIC, window=round((edge**2) ** (1 / 3))).image
        assert np.abs(whole - windows)[mask].max() < 0.01 * spread
    # The same brain in larger images, whose borders are further away than the network sees: only windows move.
    for before in (28, 40):
        space = [(0, 0), (before, 28), (before, 28), (3, 0)]
        moved = dataclasses.replace(volume, inputs=np.pad(volume.inputs, space), mask=np.pad(mask, space[1:]))
        there = predict([trained.network], moved, plan, FABRIC, window=20 if before > 28 else None).image
        places.append(there[before:-28, before:-28, 3:][mask])
    assert np.abs(places[0] - places[1]).max() < 0.01 * spread
