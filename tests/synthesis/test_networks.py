"""Networks: any size in, the same size out, and nothing that depends on the window."""

import pytest
import torch

from bidsapp.synthesis.losses import masked_l1, masked_mse
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.plan import RECIPES


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("size", [(16, 16, 16), (17, 23, 9)])
def test_any_size(name, size):
    network = build_network(name, 2, RECIPES[name]["channels"], 0).eval()
    assert network(torch.zeros(1, 2, *size)).shape == (1, 1, *size)


@pytest.mark.parametrize("name", RECIPES)
def test_weights_follow_the_seed_and_leave_the_global_state_alone(name):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a, b, c = (build_network(name, 1, RECIPES[name]["channels"], seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


@pytest.mark.parametrize("name", RECIPES)
def test_no_transposed_convolution_and_a_linear_last_kernel_of_one_voxel(name):
    network = build_network(name, 1, RECIPES[name]["channels"], 0)
    assert not any(isinstance(m, torch.nn.ConvTranspose3d) for m in network.modules())
    assert network.head.kernel_size == (1, 1, 1)


def test_far_background_does_not_shift_the_level():
    """With statistics from the window, as group norm takes them, padding would change every voxel."""
    network = build_network("unet", 1, (8, 16, 16), 0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):  # give the statistics values
        network(5 + torch.randn(2, 1, 16, 16, 16, generator=generator))
    network.eval()
    brain = 5 + torch.randn(1, 1, 48, 48, 48, generator=generator)
    padded = torch.zeros(1, 1, 80, 80, 80)
    padded[:, :, 16:64, 16:64, 16:64] = brain
    with torch.no_grad():
        inner = network(brain)[..., 20:28, 20:28, 20:28]
        same = network(padded)[..., 36:44, 36:44, 36:44]
    assert (inner - same).abs().max() < 1e-4


def test_losses_count_the_mask_only():
    prediction = torch.zeros(1, 1, 4, 4, 4)
    target = torch.full_like(prediction, 3.0)
    target[..., 2:] = 100
    mask = torch.zeros_like(prediction)
    mask[..., :2] = 1
    assert masked_l1(prediction, target, mask).item() == pytest.approx(3)
    assert masked_mse(prediction, target, mask).item() == pytest.approx(9)
    assert masked_l1(prediction, target, mask * 0).item() == 0
