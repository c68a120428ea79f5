"""Sources that a visit may lack: training patches lose some of theirs, so that a network learns to do without.

A missing source is the median of its intensity scale throughout the brain, and its presence channel is 0
(`load_volume`). Were it air, whose level is far from any brain's, the statistics of layers would depend on what
is missing. Dropping whole channels in training is the ModDrop of Neverova et al. 2016 (arXiv:1501.00102).

Every case, a choice of sources that are there, has as many patches in a step as a network would be given that
knows this case only (`times_larger`): a step then teaches each case as much as one of that network.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from bidsapp.errors import NoInputError
from bidsapp.synthesis.cases import cases
from bidsapp.synthesis.pairs import AIR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from bidsapp.records import Pair, Plan
    from bidsapp.synthesis.folds import Fold
    from bidsapp.synthesis.sampling import Batch


def drop_sources(batch: Batch, sources: int, generator: torch.Generator) -> Batch:
    """Take some sources from some patches, by chance, but never the last one.

    Each case is as likely as any other. Chance is stratified over the batch: the share of each case, and with it
    the statistics of batch normalization, differ little from batch to batch.

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
    inputs = batch.inputs.clone()
    images, presence = inputs[:, :sources], inputs[:, sources : 2 * sources]
    brain = presence.amax(1, keepdim=True)
    present = presence.amax((2, 3, 4)) > 0
    kept = present & _chosen(len(inputs), sources, generator)
    kept = torch.where(kept.any(1, keepdim=True), kept, present)[..., None, None, None]
    images.copy_(torch.where(kept, images, AIR * brain))
    presence.mul_(kept)
    return dataclasses.replace(batch, inputs=inputs)


def _chosen(patches: int, sources: int, generator: torch.Generator) -> Tensor:
    """Return which sources each patch may keep, shape (patches, sources)."""
    kinds = torch.tensor(cases(sources))
    strata = torch.randperm(patches, generator=generator) + torch.rand(patches, generator=generator)
    return kinds[(strata / patches * len(kinds)).long().clamp(max=len(kinds) - 1)]


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
