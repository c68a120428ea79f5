"""The last layers of every network: what is predicted at a voxel, and how far off that may be."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that PyTorch's users expect

# Where the scale starts: normalized intensities are predicted to about .4.
FIRST_SCALE = 0.4
# Voxels along the first axis.
SLAB = 4


class Pointwise(nn.Conv3d):
    """A linear layer at every voxel, which predicts in float32 whatever the layers before it are computed in.

    In bfloat16, which has 8 significant bits, a CT would go in steps of 8 HU. In training it is cast like any
    other layer.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, X, Y, Z)`` to ``(N, outputs, X, Y, Z)``."""
        device = x.device.type
        if self.training or not torch.is_autocast_enabled(device):
            return super().forward(x)
        weight = self.weight.flatten(1)
        with torch.autocast(device, enabled=False):
            # Slab by slab, in a processor's cache: all features at once, or a convolution, would take far longer.
            slabs = torch.split(x.movedim(1, -1), SLAB, dim=1)
            rows = [F.linear(slab.float(), weight, self.bias) for slab in slabs]
        return torch.cat(rows, 1).movedim(-1, 1)


class Heads(nn.Module):
    """A linear layer for the image, and one for the logarithm of the scale of its error.

    The error of a voxel is taken to follow Laplace's distribution of that scale. Its layer reads what the layers
    before it made for the image and teaches them nothing: an image is as good as if nobody had asked how good.

    Parameters
    ----------
    channels : int
        Of the features that both read.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.image = Pointwise(channels, 1)
        self.log_scale = Pointwise(channels, 1)
        nn.init.zeros_(self.log_scale.weight)
        nn.init.constant_(self.log_scale.bias, math.log(FIRST_SCALE))  # type: ignore[arg-type]

    def forward(self, features: Tensor, known: Tensor | float = 0.0) -> Tensor:
        """Map features ``(N, C, X, Y, Z)`` to ``(N, 2, X, Y, Z)``; `known` is added to the image."""
        return torch.cat([self.image(features) + known, self.log_scale(features.detach())], dim=1)
