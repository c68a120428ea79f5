"""A running average of the weights, in place of the last ones (Karras et al. 2024, arXiv:2312.02696)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


class WeightAverage:
    """An average whose decay follows the step's number, so that it spans the same share of any training.

    A decay that is right at 20,000 steps would remember the first weights at 60, and a training that is limited by
    minutes does not know its steps beforehand. With the decay ``(1 − 1/t)^(γ+1)`` of step ``t``, the weights of
    step ``s`` count as ``s^γ``.

    Parameters
    ----------
    width : float
        Standard deviation of the steps averaged over, as a share of all, between 0 and 0.288.
    """

    def __init__(self, width: float) -> None:
        self.exponent = exponent(width)
        self.weights: list[Tensor] = []

    def update(self, weights: Iterable[Tensor], step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        new = [tensor.detach() for tensor in weights]
        if step == 1:
            self.weights = [tensor.clone() for tensor in new]
        else:
            torch._foreach_lerp_(self.weights, new, 1 - (1 - 1 / step) ** (self.exponent + 1))

    def copy_to(self, weights: Iterable[Tensor]) -> None:
        """Overwrite weights by the average."""
        with torch.no_grad():
            for tensor, average in zip(weights, self.weights, strict=True):
                tensor.copy_(average)


def exponent(width: float) -> float:
    """Return the exponent γ whose weights ``s^γ`` have a standard deviation of `width` of all steps.

    The solution of ``width² = (γ + 1) / ((γ + 2)² (γ + 3))`` (Karras et al. 2024, algorithm 2).
    """
    t = width**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())
