"""Sources that a visit may lack: training patches lose some of theirs, so that a network learns to do without.

A missing source is 0, which is what air is, and its presence channel is 0, too (`load_volume`). Dropping whole
channels in training is the ModDrop of Neverova et al. 2016 (arXiv:1501.00102).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from bidsapp.errors import NoInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bidsapp.records import Pair, Plan
    from bidsapp.synthesis.folds import Fold
    from bidsapp.synthesis.sampling import Batch

# The chance of each source of each patch.
RATE = 0.5


def drop_sources(batch: Batch, sources: int, generator: torch.Generator) -> Batch:
    """Take each source from each patch by chance, but never the last one.

    Parameters
    ----------
    batch : Batch
        Patches whose inputs are sources, as many presence channels, and features; left unchanged.
    sources : int
        Number of sources.
    generator : torch.Generator
        Source of random numbers, on the CPU.

    Returns
    -------
    Batch
        New patches.
    """
    present = batch.inputs[:, sources : 2 * sources].amax((2, 3, 4)) > 0
    luck = torch.rand(present.shape, generator=generator) * present
    kept = (luck >= RATE) | (luck == luck.amax(1, keepdim=True))
    inputs = batch.inputs.clone()
    inputs[:, : 2 * sources] *= kept.repeat(1, 2)[..., None, None, None]
    return dataclasses.replace(batch, inputs=inputs)


def used_and_missing(pair: Pair, plan: Plan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the source contrasts of a plan that a visit has, and those that it lacks."""
    places = list(zip(plan.sources, pair.sources, strict=True))
    used = tuple(contrast for contrast, path in places if path is not None)
    return used, tuple(contrast for contrast, path in places if path is None)


def check_learned(pairs: Iterable[Pair], folds: Sequence[Fold], sources: Sequence[str]) -> None:
    """Raise `NoInputError` where a fold would learn nothing of a source, and yet be given it to predict from.

    Parameters
    ----------
    pairs : iterable of Pair
        Visits that are learned from.
    folds : sequence of Fold
        Whom each training leaves out.
    sources : sequence of str
        Contrasts of the pairs' sources.
    """
    having = {
        contrast: {p.participant for p in pairs if p.sources[place]} for place, contrast in enumerate(sources)
    }
    for contrast, participants in having.items():
        if any(participants <= fold.held_out for fold in folds):
            raise NoInputError(
                f"{len(participants)} participant(s) have {contrast} and target, and a fold holds out all of them",
                f"leave {contrast} out of --source; if they are two or more, try another --seed, or --splits",
            )
