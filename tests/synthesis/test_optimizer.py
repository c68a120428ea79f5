"""The optimizers: what they do to a step, and which parameters they share."""

import pytest
import torch
from torch import nn

from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.optimizer import STEPS, Muon, make_optimizers, orthogonalized
from bidsapp.synthesis.plan import OPTIMIZERS


def test_those_that_a_person_chooses_among_are_all():
    assert set(OPTIMIZERS) == set(STEPS)


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_an_orthogonalized_matrix_keeps_its_singular_vectors_and_levels_their_values(shape):
    left, right = (
        torch.linalg.qr(torch.randn(n, 8, generator=torch.Generator().manual_seed(n)))[0] for n in shape
    )
    matrix = left @ torch.diag(torch.logspace(0, -2, 8)) @ right.T
    (turned, again) = orthogonalized([matrix, 1e3 * matrix])
    assert torch.allclose(turned, again, atol=1e-3)
    values = torch.diagonal(left.T @ turned @ right)
    assert values.min() > 0.6
    assert values.max() < 1.3
    off = left.T @ turned @ right - torch.diag(values)
    assert off.abs().max() < 1e-4


def test_a_step_has_the_root_mean_square_of_adamw_whatever_the_gradient():
    for scale in (1e-4, 1.0, 1e4):
        weights = nn.Parameter(torch.zeros(16, 8, 3, 3, 3))
        weights.grad = scale * torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
        Muon([weights], lr=0.01, weight_decay=0.0).step()
        assert float(weights.detach().square().mean().sqrt()) == pytest.approx(0.01 * 0.2, rel=0.3)


def test_a_gradient_of_zero_moves_nothing_but_the_decay():
    weights = nn.Parameter(torch.ones(4, 4))
    weights.grad = torch.zeros(4, 4)
    Muon([weights], lr=0.1, weight_decay=0.5).step()
    assert weights.detach().numpy() == pytest.approx(0.95)


@pytest.mark.parametrize("name", ["unet", "seed-resnet", "dynunet"])
def test_every_parameter_has_one_optimizer_and_only_kernels_between_layers_are_orthogonalized(name):
    network = build_network(name, 3, {"seed-resnet": (8,)}.get(name, (4, 8, 16)), seed=0)
    adamw, muon = make_optimizers(network, "muon", 0.01, 0.0)
    rest, kernels = ([w for group in o.param_groups for w in group["params"]] for o in (adamw, muon))
    assert len({id(w) for w in (*rest, *kernels)}) == len(rest) + len(kernels) == len(list(network.parameters()))
    assert all(w.ndim == 5 and w.shape[0] > 1 for w in kernels)
    assert sum(w.numel() for w in kernels) > 0.95 * sum(w.numel() for w in network.parameters())


def test_adamw_alone_has_all_parameters():
    network = build_network("seed-resnet", 1, (8,), seed=0)
    (adamw,) = make_optimizers(network, "adamw", 0.01, 0.0)
    assert isinstance(adamw, torch.optim.AdamW)
    assert len(adamw.param_groups[0]["params"]) == len(list(network.parameters()))


@pytest.mark.parametrize("shape", [(16, 8, 3, 3, 3), (40, 2, 3, 3, 1), (8, 16, 1, 1, 1), (1, 8, 3, 3, 3)])
def test_a_step_does_not_depend_on_how_weights_and_gradients_lie_in_memory(shape):
    drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    results = []
    for of_weights, of_gradients in [("contiguous", "contiguous"), ("last", "last"), ("last", "contiguous")]:
        layouts = {"contiguous": torch.contiguous_format, "last": torch.channels_last_3d}
        weights = nn.Parameter(drawn[0].clone().contiguous(memory_format=layouts[of_weights]))
        optimizer = Muon([weights], lr=0.1, weight_decay=0.1)
        for gradient in drawn[1:]:
            weights.grad = gradient.contiguous(memory_format=layouts[of_gradients])
            optimizer.step()
        results.append(weights.detach().contiguous())
    assert all(torch.equal(result, results[0]) for result in results)
