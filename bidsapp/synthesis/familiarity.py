"""How far what a network makes of an image is from what it made of its training patches."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from bidsapp.synthesis.modes import axis_order, margin, predicted
from bidsapp.synthesis.sampling import cut_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightning_fabric import Fabric
    from numpy.typing import NDArray
    from torch import Tensor

    from bidsapp.records import Plan
    from bidsapp.synthesis.pairs import Volume

# Voxels that are looked at: as many as a few steps of the training, and a tenth of a brain at 1 mm.
VOXELS = 400_000


def unfamiliarity(networks: Sequence[nn.Module], volume: Volume, plan: Plan, fabric: Fabric) -> float | None:
    """Compare the coarsest features of an image with those of the training set.

    Batch normalization remembers mean and variance of every channel over the training patches. Patches of the same
    size are taken evenly from the brain, and the means of the channels at the coarsest level, counted in those
    standard deviations, are averaged as root mean square. Each network is compared with its own training, so that
    the number may be compared between the folds. That such statistics tell images of another kind is known from
    Quintanilha et al. 2018 (openreview.net/forum?id=rkgpCoRctm).

    Parameters
    ----------
    networks : sequence of torch.nn.Module
        Trained on `plan`; where there are several, the mean is returned.
    volume : Volume
        What is predicted from.
    plan : Plan
        Shape of the patches.
    fabric : Fabric
        Device and precision.

    Returns
    -------
    float or None
        ``None`` for a network without batch normalization.
    """
    patches = torch.from_numpy(_patches(volume, plan))
    found = [_distance(network, patches, plan, fabric) for network in networks]
    return None if None in found else float(np.mean([value for value in found if value is not None]))


def _distance(network: nn.Module, patches: Tensor, plan: Plan, fabric: Fabric) -> float | None:
    placed = fabric.to_device(copy.deepcopy(network).eval())
    layers = [layer for layer in placed.modules() if isinstance(layer, nn.BatchNorm3d)]
    sums: dict[nn.BatchNorm3d, tuple[int, Tensor]] = {}

    def note(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        (x,) = arguments
        if isinstance(layer, nn.BatchNorm3d):
            voxels, total = sums.get(layer, (0, torch.zeros(x.shape[1])))
            sums[layer] = voxels + x[:, 0].numel(), total + x.float().sum((0, 2, 3, 4)).cpu()

    for layer in layers:
        layer.register_forward_pre_hook(note)
    with torch.inference_mode(), fabric.autocast():
        for batch in torch.split(patches, plan.batch):
            placed(fabric.to_device(batch))
    if not sums:
        return None
    deepest = min(sums, key=lambda layer: sums[layer][0])
    voxels, total = sums[deepest]
    mean, variance = (torch.as_tensor(s).cpu() for s in (deepest.running_mean, deepest.running_var))
    return float(((total / voxels - mean) / torch.sqrt(variance + deepest.eps)).square().mean().sqrt())


def _patches(volume: Volume, plan: Plan) -> NDArray[np.float32]:
    """Return patches as training draws them, ``(N, C, X, Y, Z)``, about voxels spaced evenly among the brain's."""
    order = axis_order(plan)
    inputs = volume.inputs[: plan.inputs].transpose(0, *(1 + axis for axis in order))
    centres = np.argwhere(volume.mask.transpose(order))
    number = max(1, VOXELS // int(np.prod(plan.patch)))
    chosen = centres[np.linspace(0, len(centres) - 1, number + 2).astype(int)[1:-1]]
    edges = predicted(plan)
    starts = [
        [max(min(c - edge // 2, n - edge), 0) for c, edge, n in zip(centre, edges, inputs.shape[1:], strict=True)]
        for centre in chosen
    ]
    read = [cut_out(inputs, [*start[:2], start[2] - margin(plan)], plan.patch) for start in starts]
    return np.stack(read).astype(np.float32)
