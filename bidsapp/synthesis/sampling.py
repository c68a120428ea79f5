"""Training patches: drawn around voxels of the brain, repeatable from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from bidsapp.errors import DataError
from bidsapp.synthesis.difficulty import ErrorMap
from bidsapp.synthesis.modes import axis_order, margin, predicted
from bidsapp.synthesis.spatial import surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from bidsapp.records import Plan
    from bidsapp.synthesis.pairs import Volume

GIGABYTE = 1e9
# Bytes; where an array may begin in a file, as NumPy has it.
ALIGNED = 64


@dataclass(frozen=True)
class TrainingVolume:
    """A volume to draw patches from, in memory or, through memory maps, on disk: a cohort need not fit in memory.

    Attributes
    ----------
    inputs, target, mask : ndarray, shape (C, X, Y, Z), (1, X, Y, Z), (1, X, Y, Z)
        float16, float16, bool.
    centres : ndarray, shape (N,), int32
        Flat indices of the voxels in the mask.
    """

    inputs: NDArray[np.float16]
    target: NDArray[np.float16]
    mask: NDArray[np.bool_]
    centres: NDArray[np.int32]

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
            No voxel of the target lies in both masks, or an intensity in them is beyond what float16 holds.
        """
        if volume.target is None or volume.loss_mask is None or not volume.loss_mask.any():
            raise DataError(
                f"{volume.pair.visit}: the target's brain mask and the reference's do not overlap",
                "look at the registration in the visit's report, and leave the visit out",
            )
        with np.errstate(over="ignore"):
            inputs, target = (array.astype(np.float16) for array in (volume.inputs, volume.target[None]))
        finite = np.isfinite(target)
        if not np.isfinite(inputs).all() or not finite[0][volume.loss_mask].all():
            raise DataError(
                f"{volume.pair.visit}: normalized intensities beyond ±{np.finfo(np.float16).max:.0f} in the mask",
                "look at the scans and the masks in the visit's report, and leave the visit out",
            )
        # Outside the mask errors are multiplied by 0, which makes no number of infinity. What is finite stays: up
        # to a thousandth of it counts at the border of a patch that is turned.
        target[~finite] = 0
        return cls(
            inputs=inputs,
            target=target,
            mask=volume.loss_mask[None],
            centres=np.flatnonzero(volume.loss_mask).astype(np.int32),
        )

    @classmethod
    def store(cls, volume: Volume, folder: Path) -> Self:
        """Do as `hold`, but write the arrays into a file of a folder, and open it as a memory map."""
        return cls.hold(volume).streamed(folder)

    def streamed(self, folder: Path) -> Self:
        """Return the same volume on disk: its arrays written into a file of a folder, and opened as a memory map.

        In one file, because each that is mapped stays open, and a system has few of those to give.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "arrays"
        places: dict[str, int] = {}
        # Axes stay in the order in which they lie in memory, as NumPy stores them.
        turned = {name for name, array in self._arrays.items() if array.flags.fnc}
        with path.open("wb") as file:
            for name, array in self._arrays.items():
                file.write(bytes(-file.tell() % ALIGNED))
                places[name] = file.tell()
                np.ascontiguousarray(array.T if name in turned else array).tofile(file)
        whole = np.memmap(path, mode="r")
        maps: dict[str, Any] = {}
        for name, array in self._arrays.items():
            values = whole[places[name] : places[name] + array.nbytes].view(array.dtype)
            shape = array.shape
            maps[name] = values.reshape(shape[::-1]).T if name in turned else values.reshape(shape)
        return replace(self, **maps)


@dataclass(frozen=True)
class Batch:
    """Patches of one step, all float32.

    Attributes
    ----------
    inputs : Tensor, shape (N, C, X, Y, Z)
        What the network reads, of the plan's ``patch``; with its surroundings, before it is moved.
    target, mask : Tensor, shape (N, 1, X, Y, Z)
        What it predicts and where that counts; of slabs the middle slice.
    left_right : int
        The patches' axis that runs from left to right.
    """

    inputs: Tensor
    target: Tensor
    mask: Tensor
    left_right: int


class PatchSampler:
    """Draws patches whose centre is a voxel of the brain, from volumes chosen with equal probability.

    Of slices, those that show much of the brain are drawn more often; a patch as large as the volume is all of it.

    Parameters
    ----------
    volumes : sequence of TrainingVolume
        At least one.
    plan : Plan
        Input channels, shape and axes of the patches, what else is drawn, and the seed: two samplers with one draw
        the same patches.
    """

    def __init__(self, volumes: Sequence[TrainingVolume], plan: Plan) -> None:
        self.volumes = volumes
        self.plan = plan
        self.random = np.random.default_rng(plan.seed)
        self.map = ErrorMap(volumes, plan.patch) if plan.sampling == "error" else None
        self.places: list[tuple[int, tuple[int, ...]]] = []

    def draw(self, size: int, *, by_error: bool = False) -> Batch:
        """Return a batch of `size` patches; `by_error`: where errors were large, if the plan says so."""
        self.places = [self._place(by_error=by_error) for _ in range(size)]
        drawn = [self._cut(*place) for place in self.places]
        inputs, target, mask = (
            torch.from_numpy(np.stack([patch[part] for patch in drawn]).astype(np.float32)) for part in range(3)
        )
        return Batch(inputs, target, mask, axis_order(self.plan).index(0))

    def learn(self, errors: Sequence[float]) -> None:
        """Take note of the errors of the patches that were drawn last."""
        if self.map is not None:
            for place, error in zip(self.places, errors, strict=True):
                self.map.learn(*place, error)

    def state(self) -> dict[str, Any]:
        """Return all that the next patches depend on as tensors and plain types, for a checkpoint."""
        return {"random": self.random.bit_generator.state, "errors": self.map.state() if self.map else []}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        self.random.bit_generator.state = state["random"]
        if self.map is not None:
            self.map.restore(state["errors"])

    def _place(self, *, by_error: bool) -> tuple[int, tuple[int, ...]]:
        number = int(self.random.integers(len(self.volumes)))
        if by_error and self.map is not None:
            return number, self.map.centre(number, self.random)
        volume = self.volumes[number]
        centre = volume.centres[self.random.integers(len(volume.centres))]
        return number, tuple(int(index) for index in np.unravel_index(centre, volume.mask.shape[1:]))

    def _cut(self, number: int, place: Sequence[int]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        volume = self.volumes[number]
        order = axis_order(self.plan)
        inputs, target, mask = (
            array.transpose(0, *(1 + axis for axis in order))
            for array in (volume.inputs[: self.plan.inputs], volume.target, volume.mask)
        )
        edges = predicted(self.plan)
        around = surroundings(self.plan)
        starts = [
            max(min(place[axis] - edge // 2, n - edge), 0) - more
            for axis, edge, n, more in zip(order, edges, mask.shape[1:], around, strict=True)
        ]
        thicker = [*starts[:2], starts[2] - margin(self.plan)]
        read, asked = (
            [edge + 2 * more for edge, more in zip(shape, around, strict=True)]
            for shape in (self.plan.patch, edges)
        )
        return cut_out(inputs, thicker, read), cut_out(target, starts, asked), cut_out(mask, starts, asked)


def cut_out(array: NDArray[Any], starts: Sequence[int], edges: Sequence[int]) -> NDArray[Any]:
    """Return a box of an array ``(C, X, Y, Z)``; where it reaches beyond, zeros fill it, which is what air is."""
    box = tuple(slice(max(start, 0), start + edge) for start, edge in zip(starts, edges, strict=True))
    padding = [
        (max(0, -start), max(0, start + edge - n))
        for start, edge, n in zip(starts, edges, array.shape[1:], strict=True)
    ]
    return np.pad(array[:, *box], [(0, 0), *padding])
