"""Prediction of a whole brain by sliding windows, blended with Gaussian weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lightning_fabric import Fabric
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bidsapp.records import Plan
    from bidsapp.synthesis.pairs import Volume

WINDOW = 144
OVERLAP = 0.25


def predict(
    networks: Sequence[nn.Module], volume: Volume, plan: Plan, fabric: Fabric, window: int = WINDOW
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
    window : int
        Longest edge of the sliding window, voxels. The result depends on it by rounding and borders only.

    Returns
    -------
    ndarray, shape (X, Y, Z), float32
        In normalized units, cropped like the volume, meaningful inside its mask.
    """
    inputs = torch.from_numpy(volume.inputs[: plan.inputs])[None]
    total = np.zeros(volume.mask.shape, np.float32)
    for network in networks:
        forward = _forward(network, volume.left_right + 2, plan, fabric)
        total += _slide(forward, inputs, window)
    return total / np.float32(len(networks))


def _forward(network: nn.Module, left_right: int, plan: Plan, fabric: Fabric) -> Callable[[Tensor], Tensor]:
    """Return a function that predicts one window, on the CPU in float32."""
    network = fabric.to_device(network).eval()

    def forward(patch: Tensor) -> Tensor:
        patch = fabric.to_device(patch).contiguous(memory_format=torch.channels_last_3d)
        with fabric.autocast():
            out: Tensor = network(patch)
            if plan.flip_averaging:
                out = (out + network(patch.flip(left_right)).flip(left_right)) / 2
        return out.float().cpu()

    return forward


def window_edge(length: int, longest: int) -> int:
    """Return the edge of the fewest windows of at most `longest` that overlap by a quarter and fill an axis."""
    windows = 1
    while (edge := math.ceil(length / (1 + (windows - 1) * (1 - OVERLAP)))) > longest:
        windows += 1
    return edge


def _slide(forward: Callable[[Tensor], Tensor], inputs: Tensor, window: int) -> NDArray[np.float32]:
    from monai.inferers import sliding_window_inference

    edges = [window_edge(length, window) for length in inputs.shape[2:]]
    with torch.inference_mode():
        result: Tensor = sliding_window_inference(
            inputs, edges, 1, forward, overlap=OVERLAP, mode="gaussian", device="cpu", sw_device="cpu"
        )
    return np.asarray(result[0, 0].numpy(), np.float32)
