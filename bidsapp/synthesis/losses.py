"""Masked losses: sums over the mask divided by the mask's sum, so that air never dilutes an error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - the name that PyTorch's users expect

from bidsapp.synthesis.ranks import mean_over_processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

WINDOW = 7
# Weights of the second term beside the L1. On normalized brains the first is about .4, one minus SSIM about .5 and
# the differences' error about .2: with these, either adds about half of what the L1 does.
SSIM_WEIGHT = 0.4
GRADIENT_WEIGHT = 1.0


def masked_l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute error inside a mask.

    Parameters
    ----------
    prediction, target, mask : Tensor, shape (N, 1, X, Y, Z)
        The mask is 0 or 1; an empty one gives 0.

    Returns
    -------
    Tensor
        A scalar, float32.
    """
    return _masked_mean((prediction.float() - target).abs(), mask)


def masked_mse(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared error inside a mask; parameters as for `masked_l1`."""
    return _masked_mean((prediction.float() - target).square(), mask)


def masked_l1_ssim(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the L1 and 0.4 times the dissimilarity inside a mask; parameters as for `masked_l1`.

    As Zhao et al. 2017 (doi:10.1109/TCI.2016.2644865) mix them.
    """
    return masked_l1(prediction, target, mask) + SSIM_WEIGHT * masked_dissimilarity(prediction, target, mask)


def masked_l1_gradient(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the L1 and the L1 of finite differences inside a mask; parameters as for `masked_l1`."""
    return masked_l1(prediction, target, mask) + GRADIENT_WEIGHT * masked_gradient(prediction, target, mask)


def masked_dissimilarity(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return one minus the mean structural similarity (Wang et al. 2004, doi:10.1109/TIP.2003.819861).

    Of cubic windows of 7 voxels, or flat ones in a flat patch, that lie in the mask as a whole; at its surface a
    window would compare what nobody asks for. The dynamic range is the target's in each patch's mask.

    Parameters
    ----------
    prediction, target, mask : Tensor, shape (N, 1, X, Y, Z)
        0 where no window fits into the mask.

    Returns
    -------
    Tensor
        A scalar between 0 and 2, float32.
    """
    x, y = prediction.float(), target.float()
    voxels = math.prod(min(WINDOW, n) for n in y.shape[2:])
    whole = (_window_mean(mask.float()) > 1 - 0.5 / voxels).float()
    inside = mask > 0
    highest, lowest = (y.masked_fill(~inside, sign * float("inf")) for sign in (-1, 1))
    spread = highest.amax((1, 2, 3, 4), keepdim=True) - lowest.amin((1, 2, 3, 4), keepdim=True)
    spread = spread.clamp(min=1e-3)  # a constant or empty patch has none
    # Wang's constants; of sample variances, as scikit-image has them.
    c1, c2 = (0.01 * spread) ** 2, (0.03 * spread) ** 2
    unbiased = voxels / (voxels - 1)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variance_x = unbiased * (_window_mean(x * x) - mean_x**2)
    variance_y = unbiased * (_window_mean(y * y) - mean_y**2)
    covariance = unbiased * (_window_mean(x * y) - mean_x * mean_y)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return _masked_mean(1 - luminance * structure, whole)


def masked_gradient(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute error of the differences between neighbours that both lie in a mask.

    Parameters
    ----------
    prediction, target, mask : Tensor, shape (N, 1, X, Y, Z)

    Returns
    -------
    Tensor
        A scalar, float32: the mean over the axes along which a patch has neighbours.
    """
    error = prediction.float() - target
    terms = []
    for axis, n in enumerate(error.shape[2:], 2):
        if n == 1:
            continue
        both = mask.narrow(axis, 1, n - 1) * mask.narrow(axis, 0, n - 1)
        terms.append(_masked_mean(error.diff(dim=axis).abs(), both))
    return torch.stack(terms).mean()


def masked_laplace(log_scale: Tensor, error: Tensor, mask: Tensor) -> Tensor:
    """Return the mean negative logarithm of the likelihood of errors, but for a constant, inside a mask.

    Parameters
    ----------
    log_scale : Tensor, shape (N, 1, X, Y, Z)
        Logarithm of the scale of Laplace's distribution.
    error, mask : Tensor, shape (N, 1, X, Y, Z)

    Returns
    -------
    Tensor
        A scalar, float32.
    """
    log_scale = log_scale.float()
    return _masked_mean(error.abs() * (-log_scale).exp() + log_scale, mask)


def patch_errors(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute error of each patch inside its mask, shape (N,); NaN where that is empty."""
    axes = (1, 2, 3, 4)
    return ((prediction.float() - target).abs() * mask).sum(axes) / mask.sum(axes)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "l1": masked_l1,
    "mse": masked_mse,
    "l1+ssim": masked_l1_ssim,
    "l1+gradient": masked_l1_gradient,
}

# What the methods paragraph calls them.
PHRASES = {
    "l1": "the mean absolute error inside the brain",
    "mse": "the mean squared error inside the brain",
    "l1+ssim": f"the mean absolute error inside the brain and {SSIM_WEIGHT:g} times one minus the structural "
    f"similarity of windows of {WINDOW}³ voxels",
    "l1+gradient": "the mean absolute errors of intensities and of differences between neighbouring voxels inside "
    "the brain",
}


def _masked_mean(error: Tensor, mask: Tensor) -> Tensor:
    return (error * mask).sum() / mean_over_processes(mask.sum()).clamp(min=1)


def _window_mean(x: Tensor) -> Tensor:
    """Return the mean of every window; one axis after the other, which costs 21 instead of 343 additions."""
    for axis in range(3):
        kernel = [1, 1, 1]
        kernel[axis] = min(WINDOW, x.shape[2 + axis])
        x = F.avg_pool3d(x, kernel, stride=1)
    return x
