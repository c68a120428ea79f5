"""The training loop: AdamW on a one-cycle schedule that ends exactly when the time or the steps do."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bidsapp.synthesis.augmentation import augment
from bidsapp.synthesis.losses import LOSSES
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.sampling import Batch, PatchSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


@dataclass(frozen=True)
class Trained:
    """A trained network, on the CPU and in evaluation mode, and how it came about."""

    network: nn.Module
    steps: int
    seconds: float
    history: tuple[Step, ...]


def make_fabric(device: str, precision: str | None = None) -> Fabric:
    """Return the Lightning Fabric that places networks and casts their arithmetic.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str or None
        ``bf16-mixed`` or ``32-true``; by default what the device is fast at (`best_precision`).
    """
    from lightning_fabric import Fabric

    accelerator = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return Fabric(accelerator=accelerator, devices=1, precision=precision or best_precision(accelerator))


def best_precision(accelerator: str) -> str:
    """Return ``bf16-mixed`` where the device computes bfloat16 in hardware, else ``32-true``.

    A CPU without AVX-512 or AMX instructions for bfloat16 accepts it, and takes two hundred times as long.
    """
    if accelerator == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    capabilities = torch.cpu.get_capabilities()
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return "bf16-mixed" if fast else "32-true"


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


def train(
    volumes: Sequence[TrainingVolume],
    plan: Plan,
    fabric: Fabric,
    on_step: Callable[[Step], object] = bool,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train the plan's network.

    Parameters
    ----------
    volumes : sequence of TrainingVolume
        At least one.
    plan : Plan
        Its ``minutes`` and ``max_steps`` end the training, whichever comes first.
    fabric : Fabric
        Device and precision.
    on_step : callable
        Called after each step.
    clock : callable
        Returns seconds.

    Returns
    -------
    Trained
    """
    start = clock()
    network, optimizer = _set_up(plan, fabric)
    batches = _Batches(volumes, plan, fabric)
    history: list[Step] = []
    progress = 0.0
    while progress < 1:
        _set_schedule(optimizer, *one_cycle(progress, plan.learning_rate, plan.warmup))
        loss = _step(network, optimizer, batches.next(), plan, fabric)
        seconds = clock() - start
        progress = _progress(len(history) + 1, seconds, plan)
        rate = (len(history) + 1) * plan.batch * plan.patch**3 / max(seconds, 1e-9)
        history.append(Step(len(history) + 1, progress, seconds, loss, rate))
        on_step(history[-1])
    settle_statistics(network, batches, steps=max(1, min(32, round(len(history) * SETTLING * 3))))
    trained = network.module.cpu().eval()
    return Trained(trained, len(history), clock() - start, tuple(history))


def seconds_per_step(plan: Plan, fabric: Fabric, clock: Callable[[], float] = time.monotonic) -> float:
    """Measure how long an optimizer step of a plan takes on this device, on random patches.

    Parameters
    ----------
    plan : Plan
        Network, patch and batch.
    fabric : Fabric
        Device and precision.
    clock : callable
        Returns seconds.

    Returns
    -------
    float
        The quickest of three, after one to warm up.
    """
    network, optimizer = _set_up(plan, fabric)
    shape = (plan.batch, 1, plan.patch, plan.patch, plan.patch)
    inputs = torch.rand(plan.batch, plan.inputs, *shape[2:]).contiguous(memory_format=torch.channels_last_3d)
    inputs, target, mask = fabric.to_device((inputs, torch.rand(shape), torch.ones(shape)))
    batch = Batch(inputs, target, mask, left_right=(0,) * plan.batch)
    seconds = []
    for _ in range(4):
        start = clock()
        _step(network, optimizer, batch, plan, fabric)
        seconds.append(clock() - start)
    return min(seconds[1:])


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
    """An endless row of batches, drawn, varied and on the device."""

    def __init__(self, volumes: Sequence[TrainingVolume], plan: Plan, fabric: Fabric) -> None:
        self.plan = plan
        self.fabric = fabric
        self.sampler = PatchSampler(volumes, plan.inputs, plan.patch, plan.seed)
        self.generator = torch.Generator().manual_seed(plan.seed)

    def next(self) -> Batch:
        batch = self.sampler.draw(self.plan.batch)
        if self.plan.augmentation:
            batch = augment(batch, len(self.plan.sources), self.generator)
        inputs, target, mask = self.fabric.to_device((batch.inputs, batch.target, batch.mask))
        inputs = inputs.contiguous(memory_format=torch.channels_last_3d)
        return type(batch)(inputs, target, mask, batch.left_right)


def _set_up(plan: Plan, fabric: Fabric) -> tuple[Any, Any]:
    network = build_network(plan.network, plan.inputs, plan.channels, plan.seed, plan.norm)
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    return fabric.setup(network.to(memory_format=torch.channels_last_3d), optimizer)  # type: ignore[call-overload,no-any-return]


def _step(network: nn.Module, optimizer: Any, batch: Batch, plan: Plan, fabric: Fabric) -> float:
    network.train()
    prediction: Tensor = network(batch.inputs)
    loss = LOSSES[plan.loss](prediction, batch.target, batch.mask)
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    fabric.clip_gradients(network, optimizer, max_norm=MAX_GRADIENT_NORM)
    optimizer.step()
    return float(loss.detach())


def _progress(steps: int, seconds: float, plan: Plan) -> float:
    by_time = seconds / (60 * plan.minutes * (1 - SETTLING))
    by_steps = steps / plan.max_steps if plan.max_steps else 0.0
    return min(1.0, max(by_time, by_steps))


def _set_schedule(optimizer: Any, learning_rate: float, momentum: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
        group["betas"] = (momentum, 0.99)
