"""Prediction of whole brains."""

import dataclasses

import numpy as np
import pytest
import torch

from bidsapp.synthesis.inference import predict, window_edge
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.training import make_fabric


@pytest.fixture
def network(plan):
    """A network with statistics, as after training."""
    network = build_network("unet", plan.inputs, (8, 16, 16), 0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        network(2 + torch.randn(2, plan.inputs, 16, 16, 16, generator=generator))
    return network.eval()


def test_window_size_hardly_matters(pairs, plan, network):
    volume = load_volume(pairs[0], plan.features)
    fabric = make_fabric("cpu", "32-true")
    whole, windows = (predict([network], volume, plan, fabric, window=w) for w in (64, 24))
    inside = volume.mask
    assert np.abs(whole - windows)[inside].mean() < 0.1 * whole[inside].std()
    assert abs(whole[inside].mean() - windows[inside].mean()) < 0.1 * whole[inside].std()


def test_flip_averaging_makes_mirror_images_equal(pairs, plan, network):
    volume = load_volume(pairs[0], plan.features)
    mirrored = dataclasses.replace(
        volume, inputs=volume.inputs[:, ::-1].copy(), mask=volume.mask[::-1], target=None, loss_mask=None
    )
    fabric = make_fabric("cpu", "32-true")
    a, b = (predict([network], v, plan, fabric, window=48) for v in (volume, mirrored))
    assert np.abs(a - b[::-1]).max() < 1e-4


@pytest.mark.parametrize(("length", "edge"), [(20, 20), (144, 144), (145, 83), (180, 103), (300, 120)])
def test_windows_fill_an_axis_without_waste(length, edge):
    assert window_edge(length, 144) == edge


def test_several_networks_are_averaged(pairs, plan, network):
    volume = load_volume(pairs[0], plan.features)
    fabric = make_fabric("cpu", "32-true")
    other = build_network("unet", plan.inputs, (8, 16, 16), 1).eval()
    a, b, both = (predict(n, volume, plan, fabric, window=48) for n in ([network], [other], [network, other]))
    assert np.abs((a + b) / 2 - both).max() < 1e-5
