"""The training loop, which ends exactly when the time or the steps do."""

from __future__ import annotations

import logging
import math
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from bidsapp.synthesis.crew import Crew, led
from bidsapp.synthesis.modes import predicted, steps_per_epoch, voxels_per_step
from bidsapp.synthesis.ranks import share
from bidsapp.synthesis.run import SETTLING, Run, Step, set_up, take_step
from bidsapp.synthesis.sampling import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lightning_fabric import Fabric
    from torch import Tensor, nn

    from bidsapp.records import Plan
    from bidsapp.synthesis.checkpoint import Checkpoint
    from bidsapp.synthesis.sampling import TrainingVolume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A trained network, on the CPU and in evaluation mode, and how it came about."""

    network: nn.Module
    steps: int
    seconds: float
    history: tuple[Step, ...]


def make_fabric(device: str, precision: str | None = None, devices: int = 1, nodes: int = 1) -> Fabric:
    """Return the Lightning Fabric that places networks and casts their arithmetic.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str or None
        ``bf16-mixed`` or ``32-true``; by default what the device is fast at (`best_precision`).
    devices, nodes : int
        Processes that train together: on each computer, and computers. Of several every one makes a `Crew`; the
        environment says which it is, as ``torchrun`` or ``srun`` sets it.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import (
        LightningEnvironment,
        SLURMEnvironment,
        TorchElasticEnvironment,
    )

    accelerator = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    precision = precision or best_precision(accelerator)
    if devices * nodes == 1:
        # Left to itself, Fabric refuses to be one process in a SLURM job of several tasks.
        alone = [LightningEnvironment()]
        return Fabric(accelerator=accelerator, devices=1, precision=precision, plugins=alone)
    by = TorchElasticEnvironment() if "RANK" in os.environ else SLURMEnvironment()
    return Crew(accelerator=accelerator, devices=devices, num_nodes=nodes, precision=precision, plugins=[by])


def best_precision(accelerator: str) -> str:
    """Return ``bf16-mixed`` where the device computes bfloat16 in hardware, else ``32-true``.

    A CPU without AVX-512 or AMX instructions for bfloat16 accepts it, and takes two hundred times as long.
    """
    if accelerator == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    capabilities = torch.cpu.get_capabilities()
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return "bf16-mixed" if fast else "32-true"


@led
def train(
    volumes: Sequence[TrainingVolume],
    plan: Plan,
    fabric: Fabric,
    on_step: Callable[[Step], object] = bool,
    clock: Callable[[], float] = time.monotonic,
    checkpoint: Checkpoint | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> Trained:
    """Train the plan's network, from its checkpoint on where there is one.

    Parameters
    ----------
    volumes : sequence of TrainingVolume
        At least one.
    plan : Plan
        Its ``minutes`` and its ``epochs`` or ``max_steps`` end the training, whichever comes first.
    fabric : Fabric
        Device and precision.
    on_step : callable
        Called after each step.
    clock : callable
        Returns seconds.
    checkpoint : Checkpoint or None
        Read at first and written in between; it counts the seconds that went into it.
    weights : mapping of str to Tensor, or None
        State of the network to start from; by default it is new.

    Returns
    -------
    Trained
    """
    start = clock()
    plan = in_steps(plan, volumes)
    run = Run(volumes, plan, fabric, weights)
    if state := fabric.broadcast(checkpoint.read() if checkpoint else None):
        run.restore(state)
        start -= run.seconds
        name = checkpoint.path.stem if checkpoint else plan.network
        log.info("%s: goes on after step %d", name, len(run.history))
    while run.progress < 1:
        loss = run.step()
        seconds = fabric.broadcast(clock() - start)  # clocks differ, and all must end at the same step
        number = len(run.history) + 1
        rate = number * voxels_per_step(plan) / max(seconds, 1e-9)
        run.history.append(Step(number, _progress(number, seconds, plan), seconds, loss, rate))
        on_step(run.history[-1])
        if checkpoint is not None:
            checkpoint.offer(run.state)
    if not run.finished:
        run.finish()
        if checkpoint is not None:
            checkpoint.write(run.state())
    return Trained(run.network.module.cpu().eval(), len(run.history), clock() - start, tuple(run.history))


def in_steps(plan: Plan, volumes: Sequence[TrainingVolume]) -> Plan:
    """Return a plan whose epochs are counted in steps.

    An epoch draws as many voxels as the brains of all pairs have, or as many whole volumes or slices. They are
    drawn at random, so that it meets every voxel once in the mean, and not each of them once.
    """
    if plan.epochs is None:
        return plan
    return replace(plan, max_steps=math.ceil(plan.epochs * steps_per_epoch(plan, volumes)))


@led
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
    network, optimizers = set_up(plan, fabric)
    shape = (plan.batch, 1, *predicted(plan))
    inputs = torch.rand(plan.batch, plan.inputs, *plan.patch).contiguous(memory_format=torch.channels_last_3d)
    batch = share(Batch(inputs, torch.rand(shape), torch.ones(shape), left_right=0), fabric)
    inputs, target, mask = fabric.to_device((batch.inputs, batch.target, batch.mask))
    batch = Batch(inputs, target, mask, batch.left_right)
    seconds = []
    for _ in range(4):
        start = clock()
        take_step(network, optimizers, batch, plan, fabric)
        seconds.append(clock() - start)
    return min(seconds[1:])


def _progress(steps: int, seconds: float, plan: Plan) -> float:
    by_time = seconds / (60 * plan.minutes * (1 - SETTLING)) if plan.minutes else 0.0
    by_steps = steps / plan.max_steps if plan.max_steps else 0.0
    return min(1.0, max(by_time, by_steps))
