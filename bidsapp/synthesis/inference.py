"""Prediction of a whole brain by sliding windows, as fast as a network's structure allows.

Batch normalization is folded into the convolutions, windows are large, overlap by what the network's reach needs
and lie on the brain's box only; those without brain are skipped. Memory is bounded by the window, not the volume.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name that PyTorch's users expect
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

from bidsapp.synthesis.windows import boxes, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lightning_fabric import Fabric
    from numpy.typing import NDArray
    from torch import Tensor

    from bidsapp.records import Plan
    from bidsapp.synthesis.pairs import Volume

# Numbers in a full-resolution layer of one window: a brain at 1 mm with 16 channels, 256 MB in float32. A network
# holds four or five of them at a time.
LAYER = 64_000_000
# Further than this, what a window does not see no longer moves a prediction by a hundredth of the intensity range,
# though a deep network's reach in theory is longer.
LONGEST_OVERLAP = 48


def predict(
    networks: Sequence[nn.Module],
    volume: Volume,
    plan: Plan,
    fabric: Fabric,
    window: int | None = None,
    overlap: int | None = None,
) -> NDArray[np.float32]:
    """Predict the target of a volume as the mean of one or several networks.

    Parameters
    ----------
    networks : sequence of torch.nn.Module
        Trained on `plan`.
    volume : Volume
        What to predict from.
    plan : Plan
        Says whether the prediction is averaged with the mirrored input's.
    fabric : Fabric
        Device and precision.
    window : int or None
        A window has at most the voxels of a cube of this edge; by default what `LAYER` allows. The result
        depends on it by less than 1 % of the intensity range.
    overlap : int or None
        Voxels that neighbouring windows share; by default what the network's reach needs.

    Returns
    -------
    ndarray, shape (X, Y, Z), float32
        In normalized units, cropped like the volume, meaningful inside its mask.
    """
    inputs = torch.from_numpy(volume.inputs[: plan.inputs])[None]
    most = window**3 if window else LAYER // plan.channels[0]
    total = np.zeros(volume.mask.shape, np.float32)
    for network in networks:
        forward = _forward(network, volume.left_right + 2, plan, fabric)
        stride, needed = _geometry(network, most)
        shared = needed if overlap is None else -(-overlap // stride) * stride
        axes = cut(volume.mask.shape, most, shared, stride)
        for box, weights in boxes(axes):
            if not volume.mask[box].any():
                continue
            patch = _padded(inputs[:, :, *box], weights.shape)
            seen = tuple(slice(n) for n in volume.mask[box].shape)
            total[box] += (weights * forward(patch))[seen] / np.float32(len(networks))
    return total


def fold_normalization(network: nn.Module) -> nn.Module:
    """Return a copy of a network in evaluation mode whose normalization is part of the convolutions.

    Normalized weights are computed once. Batch normalization is found where a `torch.nn.Sequential` has it
    directly after a convolution; elsewhere it stays as it is.
    """
    network = copy.deepcopy(network).eval()
    for chain in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for i, (convolution, norm) in enumerate(pairwise(list(chain))):
            if isinstance(convolution, nn.Conv3d) and is_parametrized(convolution):
                chain[i] = _plain(convolution)
            if isinstance(convolution, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
                chain[i], chain[i + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return network


def _plain(convolution: nn.Conv3d) -> nn.Conv3d:
    """Return a convolution with the weights that a parametrization computes.

    `torch.nn.utils.parametrize.remove_parametrizations` would change the class that a copy shares with its model.
    """
    c = convolution
    edges, steps, borders = (cast("tuple[int, int, int]", v) for v in (c.kernel_size, c.stride, c.padding))
    plain = nn.Conv3d(c.in_channels, c.out_channels, edges, steps, borders)
    plain.load_state_dict({"weight": c.weight, "bias": c.bias})
    return plain


def _forward(
    network: nn.Module, left_right: int, plan: Plan, fabric: Fabric
) -> Callable[[Tensor], NDArray[np.float32]]:
    """Return a function that predicts one window ``(1, C, X, Y, Z)`` as an array ``(X, Y, Z)``."""
    layout = torch.channels_last_3d
    fast = fabric.to_device(fold_normalization(network).to(memory_format=layout))  # type: ignore[call-overload]

    def forward(patch: Tensor) -> NDArray[np.float32]:
        with torch.inference_mode(), fabric.autocast():
            patch = fabric.to_device(patch).contiguous(memory_format=layout)
            out: Tensor = fast(patch).float()
            if plan.flip_averaging:
                out = (out + fast(patch.flip(left_right)).float().flip(left_right)) / 2
        return cast("NDArray[np.float32]", out[0, 0].cpu().numpy())

    return forward


def _geometry(network: nn.Module, most: int) -> tuple[int, int]:
    """Return a network's stride and the overlap that it needs, a multiple of the stride, in voxels."""
    stride, reach = (int(cast("int", getattr(network, name))) for name in ("stride", "reach"))
    half_window = int(most ** (1 / 3)) // 2
    wanted = min(2 * reach, LONGEST_OVERLAP, half_window)
    return stride, max(wanted // stride, 0) * stride


def _padded(patch: Tensor, shape: Sequence[int]) -> Tensor:
    """Fill a window that reaches beyond the volume with zeros, which is what air is."""
    missing = [edge - n for edge, n in zip(shape, patch.shape[2:], strict=True)]
    return F.pad(patch, [p for n in reversed(missing) for p in (0, n)])
