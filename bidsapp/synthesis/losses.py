"""Masked losses: sums over the mask divided by the mask's sum, so that air never dilutes an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


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


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"l1": masked_l1, "mse": masked_mse}


def _masked_mean(error: Tensor, mask: Tensor) -> Tensor:
    return (error * mask).sum() / mask.sum().clamp(min=1)
