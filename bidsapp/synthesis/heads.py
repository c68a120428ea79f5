"""The last layers of every network: what is predicted at a voxel, and how far off that may be."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# Where the scale starts: normalized intensities are predicted to about .4.
FIRST_SCALE = 0.4


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
        self.image = nn.Conv3d(channels, 1, 1)
        self.log_scale = nn.Conv3d(channels, 1, 1)
        nn.init.zeros_(self.log_scale.weight)
        nn.init.constant_(self.log_scale.bias, math.log(FIRST_SCALE))  # type: ignore[arg-type]

    def forward(self, features: Tensor, known: Tensor | float = 0.0) -> Tensor:
        """Map features ``(N, C, X, Y, Z)`` to ``(N, 2, X, Y, Z)``; `known` is added to the image."""
        return torch.cat([self.image(features) + known, self.log_scale(features.detach())], dim=1)
