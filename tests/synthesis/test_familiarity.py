"""How far an image's features are from a training's."""

from dataclasses import replace

import pytest
import torch

from bidsapp.synthesis.familiarity import unfamiliarity
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.plan import make_plan
from bidsapp.synthesis.training import make_fabric

from .brains import PLAN, head

FABRIC = make_fabric("cpu", "32-true")


def volume_for(plan, seed=0):
    """Return a head with the plan's number of input channels."""
    volume, _ = head(seed)
    return replace(volume, inputs=volume.inputs.repeat(plan.inputs, axis=0))


def settled(plan, volume):
    """Return a network whose statistics are those of one volume, all of it."""
    network = build_network(plan.network, plan.inputs, plan.channels, 0, plan.norm, plan.slices)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm3d):
            layer.momentum = None
    network.train()
    with torch.no_grad():
        network(torch.from_numpy(volume.inputs)[None])
    return network


def test_an_image_of_another_kind_is_further_away():
    volume = volume_for(PLAN)
    network = settled(PLAN, volume)
    clean, brighter = (
        unfamiliarity([network], replace(volume, inputs=volume.inputs * factor), PLAN, FABRIC) for factor in (1, 3)
    )
    assert 0 < clean < brighter
    both = unfamiliarity([network, network], volume, PLAN, FABRIC)
    assert both == pytest.approx(clean)
    assert network.training  # it is left as it was
    assert not any(layer._forward_pre_hooks for layer in network.modules())


@pytest.mark.parametrize("mode", ["slices", "slabs", "volumes"])
def test_it_reads_what_the_network_reads(mode):
    plan = make_plan(
        "unet",
        ("T1w",),
        "FLAIR",
        minutes=1,
        max_steps=1,
        precision="32-true",
        seed=0,
        input_mode=mode,
        extents=(44, 52, 44),
    )
    volume = volume_for(plan)
    network = build_network(plan.network, plan.inputs, plan.channels, 0, plan.norm, plan.slices).eval()
    assert unfamiliarity([network], volume, plan, FABRIC) > 0


def test_a_network_without_batch_normalization_has_none():
    plan = make_plan("seed-resnet", ("T1w",), "FLAIR", minutes=1, max_steps=1, precision="32-true", seed=0)
    network = build_network(plan.network, plan.inputs, plan.channels, 0, "weight", plan.slices)
    assert unfamiliarity([network], volume_for(plan), plan, FABRIC) is None
