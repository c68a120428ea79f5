"""Variation of training patches: what differs between people and scanners, and not what the target depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bidsapp.synthesis.physics import disturb
from bidsapp.synthesis.sampling import Batch

if TYPE_CHECKING:
    from torch import Generator, Tensor


def augment(batch: Batch, sources: int, generator: Generator, *, physics: bool = False) -> Batch:
    """Mirror patches left-right, and vary contrast, brightness and noise of the source channels.

    The target's intensities are never touched: they are what the network is asked for.

    Parameters
    ----------
    batch : Batch
        Patches; left unchanged.
    sources : int
        The first `sources` input channels are images; the rest are features of the mask, mirrored only.
    generator : torch.Generator
        Source of random numbers, on the CPU.
    physics : bool
        Before that, do to some of them what scanners and moving heads do.

    Returns
    -------
    Batch
        New patches.
    """
    mirrored = [_mirror(batch, n, generator) for n in range(len(batch.inputs))]
    inputs, target, mask = (torch.stack([patch[part] for patch in mirrored]) for part in range(3))
    inputs = inputs.clone()
    if physics:
        inputs[:, :sources] = disturb(inputs[:, :sources], generator)
    inputs[:, :sources] = vary_intensity(inputs[:, :sources], generator)
    return Batch(inputs, target, mask, batch.left_right)


def vary_intensity(sources: Tensor, generator: Generator) -> Tensor:
    """Vary gain, offset, contrast and noise of image channels; background (exactly 0) stays 0.

    Parameters
    ----------
    sources : Tensor, shape (N, C, X, Y, Z)
        Normalized images, shifted so that air is 0.
    generator : torch.Generator
        Source of random numbers, on the CPU.
    """
    shape = (*sources.shape[:2], 1, 1, 1)
    inside = sources != 0
    gain = 1 + 0.1 * torch.randn(shape, generator=generator)
    offset = 0.1 * torch.randn(shape, generator=generator)
    noise = 0.1 * torch.rand(shape, generator=generator) * torch.randn(sources.shape, generator=generator)
    centre = sources.sum((2, 3, 4), keepdim=True) / inside.sum((2, 3, 4), keepdim=True).clamp(min=1)
    varied = (sources - centre) * gain + centre + offset + noise
    return torch.where(inside, varied, sources)


def _mirror(batch: Batch, n: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    parts = (batch.inputs[n], batch.target[n], batch.mask[n])
    if torch.rand((), generator=generator) < 0.5:
        return parts
    axis = 1 + batch.left_right  # after the channels
    return (parts[0].flip(axis), parts[1].flip(axis), parts[2].flip(axis))
