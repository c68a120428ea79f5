"""A training between two steps: a one-cycle schedule, and all that the next step depends on."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bidsapp.synthesis.augmentation import augment
from bidsapp.synthesis.averaging import WeightAverage
from bidsapp.synthesis.losses import LOSSES, masked_laplace, patch_errors
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.optimizer import make_optimizers
from bidsapp.synthesis.presence import drop_sources
from bidsapp.synthesis.ranks import share, share_statistics, together
from bidsapp.synthesis.sampling import Batch, PatchSampler
from bidsapp.synthesis.spatial import move

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightning_fabric import Fabric
    from torch import Tensor

    from bidsapp.records import Plan
    from bidsapp.synthesis.sampling import TrainingVolume

# The last share of the time re-estimates the statistics of batch normalization with the final weights.
SETTLING = 0.05
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Step:
    """What is known after a step: its number, progress 0–1, seconds so far, loss, patch voxels per second."""

    number: int
    progress: float
    seconds: float
    loss: float
    voxels_per_second: float


class Run:
    """A training between two steps: all that the next one depends on."""

    def __init__(
        self,
        volumes: Sequence[TrainingVolume],
        plan: Plan,
        fabric: Fabric,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.plan = plan
        self.fabric = fabric
        self.network, self.optimizers = set_up(plan, fabric, weights)
        self.batches = _Batches(volumes, plan, fabric)
        self.average = WeightAverage(plan.averaging) if plan.averaging else None
        self.history: list[Step] = []
        self.finished = False

    @property
    def progress(self) -> float:
        """How much of the training is done, 0–1."""
        return self.history[-1].progress if self.history else 0.0

    @property
    def seconds(self) -> float:
        """Seconds until the last step."""
        return self.history[-1].seconds if self.history else 0.0

    def step(self) -> float:
        """Take an optimizer step of the schedule and return its loss."""
        return self.step_at(*one_cycle(self.progress, self.plan.learning_rate, self.plan.warmup))

    def step_at(self, learning_rate: float, momentum: float) -> float:
        """Take an optimizer step and return the loss before it."""
        _set_schedule(self.optimizers, learning_rate, momentum)
        batch = self.batches.next(by_error=self.progress >= self.plan.warmup)
        loss, errors = take_step(self.network, self.optimizers, batch, self.plan, self.fabric)
        self.batches.sampler.learn(errors)
        if self.average is not None:
            self.average.update(self.network.module.parameters(), len(self.history) + 1)
        return loss

    def finish(self) -> None:
        """Do what follows the last step: put averaged weights in place, then settle the statistics for them."""
        if self.average is not None:
            self.average.copy_to(self.network.module.parameters())
        settle_statistics(self.network, self.batches, max(1, min(32, round(len(self.history) * SETTLING * 3))))
        self.finished = True

    def state(self) -> dict[str, Any]:
        """Return it as tensors and plain types, for a checkpoint."""
        return {
            "network": self.network.module.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": self.average.weights if self.average else [],
            "patches": self.batches.sampler.state(),
            "variation": self.batches.generator.get_state(),
            "history": torch.tensor([dataclasses.astuple(step) for step in self.history], dtype=torch.float64),
            "finished": self.finished,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        self.network.module.load_state_dict(state["network"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        if self.average is not None:
            self.average.weights = [tensor.to(self.fabric.device) for tensor in state["average"]]
        self.batches.sampler.restore(state["patches"])
        self.batches.generator.set_state(state["variation"])
        self.history = [Step(int(number), *rest) for number, *rest in state["history"].tolist()]
        self.finished = state["finished"]


def one_cycle(progress: float, peak: float, warmup: float) -> tuple[float, float]:
    """Return learning rate and momentum at a progress between 0 and 1.

    The rate rises from ``peak / 25`` to `peak` and falls to nearly nothing, both as half a cosine, while the
    momentum goes from 0.95 to 0.85 and back (Smith 2018, arXiv:1803.09820). A function of progress, not of the
    step's number, so that a training may be given minutes.
    """
    if progress < warmup:
        rise = 0.5 - 0.5 * math.cos(math.pi * progress / warmup)
        return peak * (0.04 + 0.96 * rise), 0.95 - 0.1 * rise
    fall = 0.5 + 0.5 * math.cos(math.pi * (progress - warmup) / (1 - warmup))
    return peak * (1e-4 + (1 - 1e-4) * fall), 0.95 - 0.1 * fall


def settle_statistics(network: nn.Module, batches: _Batches, steps: int) -> None:
    """Set the statistics of batch normalization to their mean over batches, with the weights as they are now.

    The running averages of training lag behind the weights and remember mostly the last few patches; at a few
    hundred steps that shifts the level of the whole prediction.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm3d)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean
    network.train()
    with torch.no_grad():
        for _ in range(steps):
            network(batches.next().inputs)


class _Batches:
    """An endless row of batches, drawn and varied, and the process's share of each on the device."""

    def __init__(self, volumes: Sequence[TrainingVolume], plan: Plan, fabric: Fabric) -> None:
        self.plan = plan
        self.fabric = fabric
        self.sampler = PatchSampler(volumes, plan)
        self.generator = torch.Generator().manual_seed(plan.seed)

    def next(self, *, by_error: bool = False) -> Batch:
        batch = self.sampler.draw(self.plan.batch, by_error=by_error)
        if "spatial" in self.plan.augmentation:
            batch = move(batch, self.plan.patch, self.generator)
        if self.plan.augmentation != "none":
            physics = "physics" in self.plan.augmentation
            batch = augment(batch, len(self.plan.sources), self.generator, physics=physics)
        if self.plan.sources_may_miss:
            batch = drop_sources(batch, len(self.plan.sources), self.generator)
        batch = share(batch, self.fabric)
        inputs, target, mask = self.fabric.to_device((batch.inputs, batch.target, batch.mask))
        inputs = inputs.contiguous(memory_format=torch.channels_last_3d)
        return type(batch)(inputs, target, mask, batch.left_right)


def set_up(plan: Plan, fabric: Fabric, weights: Mapping[str, Tensor] | None = None) -> tuple[Any, Sequence[Any]]:
    """Return a network, new or with weights that it had before, and new optimizers, on the device."""
    network = build_network(plan.network, plan.inputs, plan.channels, plan.seed, plan.norm, plan.slices)
    if weights is not None:
        network.load_state_dict(weights)
    if fabric.world_size > 1:
        share_statistics(network)
    network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizers = make_optimizers(network, plan.optimizer, plan.learning_rate, plan.weight_decay)
    placed, *wrapped = fabric.setup(network, *optimizers)
    return placed, wrapped


def take_step(
    network: nn.Module, optimizers: Sequence[Any], batch: Batch, plan: Plan, fabric: Fabric
) -> tuple[float, list[float]]:
    """Take an optimizer step on a batch, of which `batch` is the process's share.

    Returns the image's loss over the whole batch, and the mean absolute error of each of its patches.
    """
    network.train()
    prediction, log_scale = network(batch.inputs).split(1, dim=1)
    loss = LOSSES[plan.loss](prediction, batch.target, batch.mask)
    error = prediction.detach().float() - batch.target
    network.zero_grad(set_to_none=True)
    fabric.backward(loss + masked_laplace(log_scale, error, batch.mask))
    # AdamW's: a step of the other has the same length whatever its gradient's is.
    fabric.clip_gradients(network, optimizers[0], max_norm=MAX_GRADIENT_NORM)
    for optimizer in optimizers:
        optimizer.step()
    errors = patch_errors(prediction.detach(), batch.target, batch.mask)
    return together(loss.detach(), errors, plan.batch, fabric)


def _set_schedule(optimizers: Sequence[Any], learning_rate: float, momentum: float) -> None:
    """Set the rate of all, and the momentum of AdamW; that of the other, of .95, is part of its method."""
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = learning_rate
        if "betas" in group:
            group["betas"] = (momentum, 0.99)
