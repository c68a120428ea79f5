"""Networks that work in the plane of a slice: 2D, and with neighbouring slices as further channels 2.5D."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable

Edges = tuple[int, int, int]


def edges(value: int, planar: bool, flat: int = 1) -> Edges:
    """Return a kernel, stride or padding of three axes; `flat` from slice to slice where a network is planar."""
    return value, value, flat if planar else value


def beyond(size: Iterable[int], strides: Edges) -> list[int]:
    """Return the padding, as `torch.nn.functional.pad` takes it, that makes a size one of whole strides."""
    padding = [(0, -n % stride) for n, stride in zip(size, strides, strict=True)]
    return [p for axis in reversed(padding) for p in axis]


class Sliced(nn.Module):
    """A planar network that predicts every slice from itself and its neighbours.

    All slices of a batch go through the network side by side, as one volume: convolutions of thickness 1 take a
    third of the time that they take on as many volumes of a single slice.

    Parameters
    ----------
    body : torch.nn.Module
        A planar network whose input channels are those of `slices` slices.
    slices : int
        Slices that are read for each that is predicted, an odd number.
    """

    def __init__(self, body: nn.Module, slices: int) -> None:
        super().__init__()
        self.body = body
        self.slices = slices
        self.stride, self.reach = (cast("int", getattr(body, name)) for name in ("stride", "reach"))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, X, Y, Z)`` to ``(N, 2, X, Y, Z − slices + 1)``."""
        x = x.unfold(-1, self.slices, 1)
        number, depth = len(x), x.shape[4]
        together = x.permute(1, 5, 2, 3, 0, 4).flatten(0, 1).flatten(-2)[None]
        out: Tensor = self.body(together.contiguous(memory_format=torch.channels_last_3d))
        return out[0].reshape(*out.shape[1:4], number, depth).movedim(3, 0)
