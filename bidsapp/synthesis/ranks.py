"""What several processes of one training tell each other, so that together they take the steps of a single one.

Each draws the same batch and takes its share of it. What is summed over the batch is then summed over processes:
the mask, by whose sum a loss is divided, and the statistics of batch normalization. So the gradient, the mean over
processes, is that of the whole batch, and weights, statistics and errors are the same everywhere.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from bidsapp.records import Plan
    from bidsapp.synthesis.sampling import Batch

log = logging.getLogger(__name__)

AXES = (0, 2, 3, 4)


def filled(plan: Plan, processes: int) -> Plan:
    """Return a plan whose batch has a patch for each process."""
    if plan.batch >= processes:
        return plan
    log.warning(
        "%s: %d processes need as many patches per step; its batch of %d becomes %d",
        *(plan.network, processes, plan.batch, processes),
    )
    return dataclasses.replace(plan, batch=processes)


def share(batch: Batch, fabric: Fabric) -> Batch:
    """Return the patches of a batch that this process learns from: every n-th of n processes."""
    mine = slice(fabric.global_rank, None, fabric.world_size)
    return type(batch)(batch.inputs[mine], batch.target[mine], batch.mask[mine], batch.left_right)


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes that train together; of one process as it is."""
    if not distributed.is_available() or not distributed.is_initialized():
        return value
    return _sum(value.float().clone()) / distributed.get_world_size()


def together(loss: Tensor, errors: Tensor, patches: int, fabric: Fabric) -> tuple[float, list[float]]:
    """Return the loss of the whole batch, and the error of each of its patches.

    Parameters
    ----------
    loss : Tensor
        A scalar, whose mean over processes is the batch's.
    errors : Tensor, shape (N,)
        Of the process's `share`.
    patches : int
        Of the whole batch.
    fabric : Fabric
        Which share it is.
    """
    if fabric.world_size > 1:
        known = errors.new_zeros(patches + 1)
        known[fabric.global_rank : patches : fabric.world_size] = errors
        known[-1] = loss / fabric.world_size
        *whole, value = _sum(known).tolist()
        return value, whole
    return float(loss), errors.tolist()


def share_statistics(network: nn.Module) -> None:
    """Let every batch normalization of a network take its statistics from the patches of all processes."""
    for layer in network.modules():
        if type(layer) is nn.BatchNorm3d:
            layer.__class__ = SharedBatchNorm3d  # parameters, buffers and whoever refers to it stay


class SharedBatchNorm3d(nn.BatchNorm3d):
    """Batch normalization over the patches of all processes; PyTorch's own does so on GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, X, Y, Z)`` to the same shape."""
        if not self.training or not distributed.is_initialized():
            return super().forward(x)
        y, mean, variance, count = _Normalization.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            buffers = (self.running_mean, self.running_var, self.num_batches_tracked)
            average, spread, number = (cast("Tensor", buffer) for buffer in buffers)
            number += 1
            newest = 1 / int(number) if self.momentum is None else self.momentum
            average.lerp_(mean, newest)
            spread.lerp_(variance * (count / (count - 1)).float(), newest)
        return y  # type: ignore[no-any-return]


class _Normalization(torch.autograd.Function):
    """Ioffe and Szegedy 2015 (arXiv:1502.03167), every sum over all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        local_variance, local_mean = torch.var_mean(x.float(), AXES, correction=0)
        # In double precision: the square of the mean may be large beside the variance.
        count = torch.tensor([x.numel() // x.shape[1]], dtype=torch.float64, device=x.device)
        mean = local_mean.double()
        sums = _sum(torch.cat([count * mean, count * (local_variance + mean.square()), count]))
        count = sums[-1]
        mean, square = (sums[:-1] / count).chunk(2)
        variance = (square - mean.square()).clamp(min=0)
        inverse = (variance + eps).rsqrt().float()
        mean = mean.float()
        ctx.save_for_backward(x, weight, mean, inverse, count)
        scale = weight * inverse
        y = torch.addcmul(_wide(bias - mean * scale), x, _wide(scale)).to(x.dtype)
        variance = variance.float()
        ctx.mark_non_differentiable(mean, variance, count)
        return y, mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, count = ctx.saved_tensors
        gradient = gradient.float()
        normalized = (x - _wide(mean)) * _wide(inverse)
        of_bias, of_weight = gradient.sum(AXES), (gradient * normalized).sum(AXES)
        # The weights' are summed by whoever averages gradients; only what x does to others is needed here.
        means = (_sum(torch.cat([of_bias, of_weight])) / count.float()).chunk(2)
        of_x = torch.addcmul(gradient - _wide(means[0]), normalized, _wide(means[1]), value=-1)
        return (of_x * _wide(weight * inverse)).to(x.dtype), of_weight, of_bias, None


def _sum(values: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place."""
    distributed.all_reduce(values)
    return values


def _wide(values: Tensor) -> Tensor:
    """Return one value for each channel in the shape of an image."""
    return values[:, None, None, None]
