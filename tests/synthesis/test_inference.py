"""Prediction of whole brains."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage

from bidsapp.synthesis.inference import fold_normalization, predict
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.plan import make_plan
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import make_fabric, train


@pytest.fixture
def fabric():
    return make_fabric("cpu", "32-true")


class Identity(torch.nn.Module):
    """Returns the first channel, also as logarithm of the scale; stands for a network of any stride and reach."""

    def __init__(self, stride=1, reach=0):
        super().__init__()
        self.stride, self.reach = stride, reach
        type(self).seen = []  # of the class: what is applied is a copy

    def forward(self, x):
        self.seen.append(tuple(x.shape[2:]))
        return x[:, [0, 0]]


def enlarged(volume, shape, seed=0):
    """Return the volume with random inputs of another shape, all of it brain."""
    random = np.random.default_rng(seed)
    inputs = random.normal(5, 1, (len(volume.inputs), *shape)).astype(np.float32)
    return dataclasses.replace(volume, inputs=inputs, mask=np.ones(shape, bool), target=None, loss_mask=None)


@pytest.mark.parametrize("shape", [(31, 45, 53), (7, 64, 33), (65, 1, 40)])
@pytest.mark.parametrize("overlap", [None, 0, 1, 5, 12, 24])
@pytest.mark.parametrize("stride", [1, 4, 8])
def test_identity_is_identity(pairs, plan, fabric, shape, overlap, stride):
    volume = enlarged(load_volume(pairs[0], plan.features), shape)
    network = Identity(stride, reach=6)
    for flip in (False, True):
        p = dataclasses.replace(plan, flip_averaging=flip)
        result = predict([network], volume, p, fabric, window=32, overlap=overlap)
        assert np.abs(result.image - volume.inputs[0]).max() < 1e-5
        assert np.abs(np.log(result.scale) - volume.inputs[0]).max() < 1e-5
    assert all(edge % stride == 0 for seen in network.seen for edge in seen)


@pytest.mark.parametrize(("shape", "window"), [((120, 90, 77), 48), ((300, 40, 40), 64)])
def test_memory_is_bounded_by_the_window(pairs, plan, fabric, shape, window):
    volume = enlarged(load_volume(pairs[0], plan.features), shape)
    network = Identity(4, reach=8)
    predict([network], volume, plan, fabric, window=window)
    assert len(set(network.seen)) == 1
    assert np.prod(network.seen[0]) <= window**3


def test_windows_without_brain_are_skipped(pairs, plan, fabric):
    volume = enlarged(load_volume(pairs[0], plan.features), (80, 80, 80))
    mask = np.zeros((80, 80, 80), bool)
    mask[:12, :12, :12] = True
    volume = dataclasses.replace(volume, mask=mask)
    network = Identity(4, reach=2)
    result = predict([network], volume, dataclasses.replace(plan, flip_averaging=False), fabric, window=32)
    assert len(network.seen) == 1
    assert np.abs(result.image - volume.inputs[0])[mask].max() < 1e-5


@pytest.fixture(scope="module")
def blobs():
    """A head of smooth blobs larger than the windows to compare, and its blurred, inverted copy."""
    noise = np.random.default_rng(0).normal(size=(136, 136, 132))  # more than any window
    source = ndimage.gaussian_filter(noise, 1)
    goal = ndimage.gaussian_filter(source, 1.5)
    mask = np.zeros(noise.shape, bool)
    mask[8:-8, 8:-8, 8:-8] = True
    return (source / source.std()).astype(np.float32), (-goal / goal.std()).astype(np.float32), mask


@pytest.mark.slow
@pytest.mark.parametrize(("name", "channels"), [("unet", (8, 16, 16)), ("seed-resnet", (8,))])
def test_windows_and_their_places_hardly_matter(name, channels, blobs, pairs, fabric, tmp_path):
    """Measured on a trained network, in shares of the range of intensities: largest difference of any voxel."""
    plan = make_plan(name, ("T1w",), "FLAIR", minutes=5, max_steps=40, precision="32-true", seed=0, patch=32)
    plan = dataclasses.replace(plan, features=(), flip_averaging=False, channels=channels)
    source, goal, mask = blobs
    inputs = np.where(mask, source + 5, 0)[None]
    volume = dataclasses.replace(load_volume(pairs[0], ()), inputs=inputs, mask=mask, target=goal, loss_mask=mask)
    trained = train([TrainingVolume.store(volume, tmp_path)], plan, fabric)
    whole = predict([trained.network], volume, plan, fabric, window=160).image
    spread = np.ptp(whole[mask])
    for window in (64, 96, 128):
        windows = predict([trained.network], volume, plan, fabric, window=window).image
        assert np.abs(whole - windows)[mask].max() < 0.01 * spread
    # The same brain, deeper in a larger image: windows now lie elsewhere on it.
    space = [(0, 0), *[(24, 0)] * 3]
    moved = dataclasses.replace(volume, inputs=np.pad(inputs, space), mask=np.pad(mask, space[1:]))
    there = predict([trained.network], moved, plan, fabric, window=64).image[24:, 24:, 24:]
    assert np.abs(whole - there)[mask].max() < 0.01 * spread


@pytest.fixture
def network(plan):
    """A network with statistics, as after training."""
    network = build_network("unet", plan.inputs, (8, 16, 16), 0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        network(2 + torch.randn(2, plan.inputs, 16, 16, 16, generator=generator))
    return network.eval()


def test_folded_normalization_predicts_the_same(plan, network):
    folded = fold_normalization(network)
    assert not any(isinstance(m, torch.nn.BatchNorm3d) for m in folded.modules())
    assert any(isinstance(m, torch.nn.BatchNorm3d) for m in network.modules())
    patch = 2 + torch.randn(1, plan.inputs, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert (folded(patch) - network(patch)).abs().max() < 1e-4


def test_reach_is_how_far_a_voxel_sees(plan):
    for name, channels in (("unet", (4, 4, 4)), ("seed-resnet", (4,))):
        network = build_network(name, 1, channels, 0).double().eval()
        for parameter in network.parameters():
            torch.nn.init.constant_(parameter, 0.1)  # nothing cancels, no rectifier stops anything
        point = torch.zeros(1, 1, 96, 16, 16, dtype=torch.double)
        with torch.no_grad():
            empty = network(point)
            point[..., 48, 8, 8] = 1e6
            moved = (network(point) - empty)[0, 0, :, 8, 8].abs() > 0
        near = torch.nonzero(moved).flatten() - 48
        assert network.reach - network.stride <= near.abs().max() <= network.reach


def test_flip_averaging_makes_mirror_images_equal(pairs, plan, network, fabric):
    volume = load_volume(pairs[0], plan.features)
    length = 24  # of whole strides: the mirrored brain meets the coarse levels at the same phase
    a = dataclasses.replace(volume, inputs=volume.inputs[:, :length], mask=volume.mask[:length])
    b = dataclasses.replace(a, inputs=a.inputs[:, ::-1].copy(), mask=a.mask[::-1])
    one, other = (predict([network], v, plan, fabric, window=48) for v in (a, b))
    assert np.abs(one.image - other.image[::-1]).max() < 1e-4
    assert np.abs(one.scale - other.scale[::-1]).max() < 1e-4


def test_several_networks_are_averaged(pairs, plan, network, fabric):
    volume = load_volume(pairs[0], plan.features)
    other = build_network("unet", plan.inputs, (8, 16, 16), 1).eval()
    a, b, both = (predict(n, volume, plan, fabric, window=48) for n in ([network], [other], [network, other]))
    assert np.abs((a.image + b.image) / 2 - both.image).max() < 1e-5
    apart = ((a.image - b.image) / 2) ** 2  # variance of two images; Laplace's is twice the square of its scale
    expected = np.sqrt((a.scale**2 + b.scale**2 + apart) / 2)
    assert np.abs(expected / both.scale - 1).max() < 1e-4
