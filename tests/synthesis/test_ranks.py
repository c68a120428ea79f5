"""What processes that train together share; of one process it is what there is without sharing."""

import copy

import pytest
import torch
from torch import distributed, nn

from bidsapp.synthesis.ranks import SharedBatchNorm3d, filled, mean_over_processes, share, share_statistics
from bidsapp.synthesis.sampling import Batch
from bidsapp.synthesis.training import make_fabric


@pytest.fixture
def crew_of_one(tmp_path):
    """Let PyTorch think that there are processes, of which this is the only one."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.fixture
def layers():
    """Return a layer of batch normalization, and a shared one with the same weights."""
    torch.manual_seed(0)
    layer = nn.BatchNorm3d(3)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    chain = nn.Sequential(copy.deepcopy(layer))
    share_statistics(chain)
    assert isinstance(chain[0], SharedBatchNorm3d)
    assert list(chain[0].state_dict()) == list(layer.state_dict())
    return layer, chain[0]


def outcome(layer, x):
    x = x.clone().requires_grad_()
    y = layer(x)
    (y.square() * torch.linspace(0, 1, y.shape[-1])).sum().backward()
    gradients = [x.grad.float(), layer.weight.grad, layer.bias.grad]
    return [y.detach().float(), *gradients, layer.running_mean, layer.running_var, layer.num_batches_tracked]


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("level", [0.0, 100.0])  # far from zero rounding is largest
def test_shared_statistics_are_those_of_pytorch(crew_of_one, layers, momentum, level):
    images = [level + 3 * torch.randn(2, 3, 4, 5, 6) for _ in range(3)]
    for layer in layers:
        layer.momentum = momentum
    for image in images:
        expected, found = (outcome(layer, image) for layer in layers)
        for a, b in zip(expected, found, strict=True):
            assert torch.allclose(a.float(), b.float(), rtol=1e-4, atol=1e-3 if level else 1e-5)


def test_shared_statistics_of_bfloat16(crew_of_one, layers):
    image = torch.randn(2, 3, 4, 5, 6)
    expected, found = outcome(layers[0], image), outcome(layers[1], image.bfloat16())
    assert layers[1](image.bfloat16()).dtype == torch.bfloat16
    for a, b in zip(expected[:6], found[:6], strict=True):
        assert torch.allclose(a, b, rtol=0.05, atol=0.1)


def test_of_one_process_there_is_nothing_to_share(layers):
    image = torch.randn(2, 3, 4, 5, 6)
    for a, b in zip(*(outcome(layer, image) for layer in layers), strict=True):
        assert torch.equal(a, b)
    value = torch.tensor(3.0)
    assert mean_over_processes(value) is value
    batch = Batch(torch.zeros(2, 1, 4, 4, 4), *(torch.ones(2, 1, 4, 4, 4) for _ in range(2)), 1)
    assert share(batch, make_fabric("cpu", "32-true")).left_right == 1


def test_a_batch_has_a_patch_for_each_process(plan, caplog):
    assert filled(plan, 2) is plan
    assert filled(plan, 4).batch == 4
    assert caplog.messages == ["unet: 4 processes need as many patches per step; its batch of 2 becomes 4"]
