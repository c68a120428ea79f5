"""Networks: any size in, the same size out, and nothing that depends on the window."""

import pytest
import torch
from torch.nn.utils.parametrize import is_parametrized

from bidsapp.synthesis.inference import fold_normalization
from bidsapp.synthesis.losses import masked_l1, masked_mse
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.plan import RECIPES


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("size", [(16, 16, 16), (17, 23, 9)])
def test_any_size(name, size):
    network = build_network(name, 2, RECIPES[name]["channels"], 0).eval()
    assert network(torch.zeros(1, 2, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize("name", RECIPES)
def test_weights_follow_the_seed_and_leave_the_global_state_alone(name):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a, b, c = (build_network(name, 1, RECIPES[name]["channels"], seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


@pytest.mark.parametrize("name", ["unet", "unet-base", "seed-resnet"])
def test_no_transposed_convolution_and_a_linear_last_kernel_of_one_voxel(name):
    network = build_network(name, 1, RECIPES[name]["channels"], 0)
    assert not any(isinstance(m, torch.nn.ConvTranspose3d) for m in network.modules())
    assert network.heads.image.kernel_size == (1, 1, 1)


@pytest.mark.parametrize("name", RECIPES)
def test_patches_are_whole_strides(name):
    network = build_network(name, 1, RECIPES[name]["channels"], 0)
    assert RECIPES[name]["patch"] % network.stride == 0


@pytest.mark.parametrize(
    ("name", "channels", "norm"),
    [
        ("unet", (8, 16, 16), "batch"),
        ("seed-resnet", (8,), "batch"),
        ("seed-resnet", (8,), "weight"),
        ("seed-resnet", (8,), "spectral"),
        ("segresnet", (8, 16, 32), "batch"),
        ("dynunet", (8, 16, 32), "batch"),
    ],
)
def test_far_background_does_not_shift_the_level(name, channels, norm):
    """With statistics from the window, as group norm takes them, padding would change every voxel."""
    network = build_network(name, 1, channels, 0, norm)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(3):  # give the statistics values
            network(5 + torch.randn(2, 1, 16, 16, 16, generator=generator))
    network.eval()
    brain = 5 + torch.randn(1, 1, 64, 64, 64, generator=generator)
    padded = torch.zeros(1, 1, 96, 96, 96)
    padded[:, :, 16:80, 16:80, 16:80] = brain
    with torch.no_grad():
        inner = network(brain)[..., 28:36, 28:36, 28:36]
        same = network(padded)[..., 44:52, 44:52, 44:52]
    assert (inner - same).abs().max() < 0.01 * (inner.max() - inner.min())


@pytest.mark.parametrize("norm", ["weight", "spectral"])
def test_norms_of_weights_replace_batch_normalization_and_fold_away(norm):
    network = build_network("seed-resnet", 2, (8,), 0, norm)
    assert not any(isinstance(m, torch.nn.BatchNorm3d) for m in network.modules())
    assert sum(is_parametrized(m) for m in network.modules()) == 5
    patch = torch.randn(1, 2, 12, 12, 12, generator=torch.Generator().manual_seed(0))
    network(patch).mean().backward()  # in training mode: spectral norm follows its weights
    folded = fold_normalization(network)
    assert not any(is_parametrized(m) for m in folded.modules())
    with torch.no_grad():
        assert (folded(patch) - network.eval()(patch)).abs().max() < 1e-5


def test_losses_count_the_mask_only():
    prediction = torch.zeros(1, 1, 4, 4, 4)
    target = torch.full_like(prediction, 3.0)
    target[..., 2:] = 100
    mask = torch.zeros_like(prediction)
    mask[..., :2] = 1
    assert masked_l1(prediction, target, mask).item() == pytest.approx(3)
    assert masked_mse(prediction, target, mask).item() == pytest.approx(9)
    assert masked_l1(prediction, target, mask * 0).item() == 0
