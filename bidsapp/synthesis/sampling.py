"""Training patches: drawn around voxels of the brain, repeatable from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from bidsapp.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from bidsapp.synthesis.pairs import Volume

GIGABYTE = 1e9


@dataclass(frozen=True)
class TrainingVolume:
    """A volume to draw patches from, in memory or, through memory maps, on disk: a cohort need not fit in memory.

    Attributes
    ----------
    inputs, target, mask : ndarray, shape (C, X, Y, Z), (1, X, Y, Z), (1, X, Y, Z)
        float16, float16, bool.
    centres : ndarray, shape (N,), int32
        Flat indices of the voxels in the mask.
    left_right : int
        Voxel axis that runs from left to right.
    """

    inputs: NDArray[np.float16]
    target: NDArray[np.float16]
    mask: NDArray[np.bool_]
    centres: NDArray[np.int32]
    left_right: int

    @property
    def gigabytes(self) -> float:
        """Size of its arrays."""
        return sum(array.nbytes for array in self._arrays.values()) / GIGABYTE

    @property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"inputs": self.inputs, "target": self.target, "mask": self.mask, "centres": self.centres}

    @classmethod
    def hold(cls, volume: Volume) -> Self:
        """Make a volume's arrays, in memory.

        Raises
        ------
        DataError
            No voxel of the target lies in both masks.
        """
        if volume.target is None or volume.loss_mask is None or not volume.loss_mask.any():
            raise DataError(
                f"{volume.pair.visit}: the target's brain mask and the reference's do not overlap",
                "look at the registration in the visit's report, and leave the visit out",
            )
        return cls(
            inputs=volume.inputs.astype(np.float16),
            target=volume.target[None].astype(np.float16),
            mask=volume.loss_mask[None],
            centres=np.flatnonzero(volume.loss_mask).astype(np.int32),
            left_right=volume.left_right,
        )

    @classmethod
    def store(cls, volume: Volume, folder: Path) -> Self:
        """Do as `hold`, but write the arrays into a folder, and open them as memory maps."""
        return cls.hold(volume).streamed(folder)

    def streamed(self, folder: Path) -> Self:
        """Return the same volume on disk: its arrays written into a folder, and opened as memory maps."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._arrays.items():
            np.save(folder / f"{name}.npy", array)
        maps = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in self._arrays}
        return replace(self, **maps)


@dataclass(frozen=True)
class Batch:
    """Patches of one step: inputs ``(N, C, P, P, P)``, target and mask ``(N, 1, P, P, P)``, all float32."""

    inputs: Tensor
    target: Tensor
    mask: Tensor
    left_right: tuple[int, ...]


class PatchSampler:
    """Draws patches whose centre is a voxel of the brain, from volumes chosen with equal probability.

    Parameters
    ----------
    volumes : sequence of TrainingVolume
        At least one.
    channels : int
        How many of the input channels a patch has.
    patch : int
        Edge of the cubic patch, voxels; a volume that is smaller is padded with zeros.
    seed : int
        Two samplers with one seed draw the same patches.
    """

    def __init__(self, volumes: Sequence[TrainingVolume], channels: int, patch: int, seed: int) -> None:
        self.volumes = volumes
        self.channels = channels
        self.patch = patch
        self.random = np.random.default_rng(seed)

    def draw(self, size: int) -> Batch:
        """Return a batch of `size` patches."""
        drawn = [self._one() for _ in range(size)]
        inputs, target, mask = (
            torch.from_numpy(np.stack([patch[part] for patch in drawn]).astype(np.float32)) for part in range(3)
        )
        return Batch(inputs, target, mask, tuple(patch[3] for patch in drawn))

    def _one(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], int]:
        volume = self.volumes[int(self.random.integers(len(self.volumes)))]
        shape = volume.mask.shape[1:]
        centre = np.unravel_index(volume.centres[self.random.integers(len(volume.centres))], shape)
        starts = [
            max(min(int(c) - self.patch // 2, n - self.patch), 0) for c, n in zip(centre, shape, strict=True)
        ]
        box = tuple(slice(s, s + self.patch) for s in starts)
        padding = [(0, 0), *((0, max(0, self.patch - n)) for n in shape)]
        inputs, target, mask = (
            np.pad(array[:, *box], padding)
            for array in (volume.inputs[: self.channels], volume.target, volume.mask)
        )
        return inputs, target, mask, volume.left_right
