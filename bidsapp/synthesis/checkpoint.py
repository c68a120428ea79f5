"""Checkpoints: a training that was killed goes on from the last one; on processors, to the same bits.

One file for each training, replaced whole. It holds all that the next step depends on: weights, optimizer, the
random numbers of patches and variation, and the course so far. It lies in a folder named by the training's key, so
that other data or settings never meet it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from bidsapp.synthesis.plan import plan_from_json, plan_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bidsapp.records import Plan

log = logging.getLogger(__name__)

PLANS_FILE = "plans.json"
# What a kill costs at most, and the share of the time that writing may cost: 4 MB take about 20 ms, networks of
# gigabytes seconds.
EVERY_SECONDS = 20.0
SHARE = 0.01


class Checkpoint:
    """The file from which one training goes on.

    Parameters
    ----------
    path : Path
        Where it lies; its folder is made.
    every : float
        Seconds between two of them.
    clock : callable
        Returns seconds.
    """

    def __init__(
        self, path: Path, every: float = EVERY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self.every = every
        self.clock = clock
        self.due = clock() + every

    def read(self) -> dict[str, Any] | None:
        """Return the state that was written last; ``None`` where there is none, or one that cannot be read."""
        try:
            # On the CPU, because a state dict is copied to where its network is.
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - a damaged pickle raises anything; training anew heals it
            log.warning("%s: cannot be read, its training starts again: %s", self.path, error)
            return None
        return state

    def offer(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write the state if it is time to."""
        start = self.clock()
        if start < self.due:
            return
        self.write(state())
        end = self.clock()
        self.due = end + max(self.every, (end - start) / SHARE)

    def write(self, state: dict[str, Any]) -> None:
        """Write a state: tensors and plain Python types, in dictionaries and lists."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as file:  # given a path, PyTorch does not say that a disk is full
                torch.save(state, file)
            temporary.replace(self.path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def checkpoint_of(folder: Path, fold: int, network: str) -> Checkpoint:
    """Return the checkpoint of a fold's training of a network."""
    return Checkpoint(folder / f"fold-{fold}_{network}.pt")


@contextmanager
def kept_if_interrupted(folder: Path) -> Iterator[None]:
    """Say what the next run goes on from, where something other than an error ends the block.

    Parameters
    ----------
    folder : Path
        Of the checkpoints.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException:
        written = [path.stat().st_mtime for path in folder.glob("*.pt")]
        ago = f"the last one of {time.time() - max(written):.0f} s ago" if written else "none was due yet"
        log.warning("checkpoints of %d trainings are kept, %s", len(written), ago)
        raise


def kept_plans(folder: Path, make: Callable[[], tuple[Plan, Plan | None]]) -> tuple[Plan, Plan | None]:
    """Return the plans that the trainings of a folder began with; make and keep them where there are none.

    A plan that is sized to minutes comes out differently when the computer is busier, and its checkpoints
    would then fit no longer.

    Parameters
    ----------
    folder : Path
        Of the checkpoints.
    make : callable
        Returns the plan and the baseline's.
    """
    kept = read_plans(folder)
    if kept is not None:
        return kept
    plans = make()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLANS_FILE
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps([plan and plan_to_json(plan) for plan in plans]), encoding="utf-8")
    temporary.replace(path)
    return plans


def read_plans(folder: Path) -> tuple[Plan, Plan | None] | None:
    """Return the plans that the trainings of a folder began with; ``None`` where none began."""
    path = folder / PLANS_FILE
    if not path.is_file():
        return None
    plan, baseline = (
        values and plan_from_json(values, str(path)) for values in json.loads(path.read_text(encoding="utf-8"))
    )
    return plan, baseline
