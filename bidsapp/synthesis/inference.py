"""Prediction of a whole brain by sliding windows, as fast as a network's structure allows.

Batch normalization is folded into the convolutions, windows are large, overlap by what the network's reach needs
and lie on the brain's box only; those without brain are skipped. Memory is bounded by the window, not the volume.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name that PyTorch's users expect
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

from bidsapp.synthesis.modes import axis_order, margin
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


@dataclass(frozen=True)
class Predicted:
    """What networks say of a volume, cropped like it and meaningful inside its mask; in normalized units.

    Attributes
    ----------
    image : ndarray, shape (X, Y, Z), float32
        The predicted target.
    scale : ndarray, shape (X, Y, Z), float32
        Scale of Laplace's distribution of its error, as the networks learned it from people whom they have seen.
    """

    image: NDArray[np.float32]
    scale: NDArray[np.float32]


def predict(
    networks: Sequence[nn.Module],
    volume: Volume,
    plan: Plan,
    fabric: Fabric,
    window: int | None = None,
    overlap: int | None = None,
) -> Predicted:
    """Predict the target of a volume as the mean of one or several networks.

    The variance of several networks' mixture is the mean of their variances and that of their images
    (Lakshminarayanan 2017, arXiv:1612.01474).

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
    Predicted
    """
    image, squares, scale2 = (np.zeros(volume.mask.shape, np.float32) for _ in range(3))
    for network in networks:
        one, log_scale = _slide(network, volume, plan, fabric, window, overlap)
        image += one / len(networks)
        squares += one**2 / len(networks)
        scale2 += np.exp(2 * log_scale) / len(networks)
    if len(networks) > 1:
        scale2 += np.maximum(squares - image**2, 0) / 2  # Laplace's variance is twice the square of its scale
    return Predicted(image, np.sqrt(scale2))


def _slide(
    network: nn.Module, volume: Volume, plan: Plan, fabric: Fabric, window: int | None, overlap: int | None
) -> NDArray[np.float32]:
    """Return image and logarithm of the scale of one network, shape (2, X, Y, Z)."""
    order, extra = axis_order(plan), margin(plan)
    mask = volume.mask.transpose(order)
    inputs = torch.from_numpy(volume.inputs[: plan.inputs].transpose(0, *(1 + axis for axis in order)))[None]
    inputs = F.pad(inputs, (extra, extra)) if extra else inputs
    most = window**3 if window else LAYER // plan.channels[0]
    total = np.zeros((2, *mask.shape), np.float32)
    forward = _forward(network, 2 + order.index(0), plan, fabric)
    strides, needed = _geometry(network, plan, most)
    shared = needed if overlap is None else [-(-overlap // stride) * stride for stride in strides]
    for box, weights in boxes(cut(mask.shape, most, shared, strides)):
        if not mask[box].any():
            continue
        x, y, z = box
        patch = inputs[:, :, x, y, slice(z.start, z.stop + 2 * extra)]
        patch = _padded(patch, (*weights.shape[:2], weights.shape[2] + 2 * extra))
        seen = tuple(slice(n) for n in mask[box].shape)
        total[:, *box] += (weights * forward(patch))[:, *seen]
    return np.ascontiguousarray(total.transpose(0, *(1 + axis for axis in np.argsort(order))))


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
    """Return a function that maps a window ``(1, C, X, Y, Z)`` to ``(2, X, Y, Z)``, of slabs the inner slices."""
    layout = torch.channels_last_3d
    fast = fabric.to_device(fold_normalization(network).to(memory_format=layout))  # type: ignore[call-overload]

    def forward(patch: Tensor) -> NDArray[np.float32]:
        with torch.inference_mode(), fabric.autocast():
            patch = fabric.to_device(patch).contiguous(memory_format=layout)
            out: Tensor = fast(patch).float()
            if plan.flip_averaging:
                out = (out + fast(patch.flip(left_right)).float().flip(left_right)) / 2
        return cast("NDArray[np.float32]", out[0].cpu().numpy())

    return forward


def _geometry(network: nn.Module, plan: Plan, most: int) -> tuple[list[int], list[int]]:
    """Return for each axis a network's stride and the overlap that it needs, a multiple of the stride, in voxels.

    Slices need none: what one is predicted from is never cut off.
    """
    stride, reach = (int(cast("int", getattr(network, name))) for name in ("stride", "reach"))
    half_window = int(most ** (1 / 3 if plan.slices is None else 1 / 2)) // 2
    wanted = min(2 * reach, LONGEST_OVERLAP, half_window)
    overlap = max(wanted // stride, 0) * stride
    return ([stride] * 3, [overlap] * 3) if plan.slices is None else ([stride] * 2 + [1], [overlap] * 2 + [0])


def _padded(patch: Tensor, shape: Sequence[int]) -> Tensor:
    """Fill a window that reaches beyond the volume with zeros, which is what air is."""
    missing = [edge - n for edge, n in zip(shape, patch.shape[2:], strict=True)]
    return F.pad(patch, [p for n in reversed(missing) for p in (0, n)])
