"""The plan of a training: everything decided before the first step, from the minutes, the device and the seed."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from bidsapp.errors import DataError
from bidsapp.records import Plan
from bidsapp.synthesis.cases import times_larger
from bidsapp.synthesis.modes import BATCHES, SLICE_PATCH, SLICED, patch_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

FEATURES = ("mask", "depth", "lateral", "anterior", "superior")
OPTIMIZERS = ("adamw", "muon")

_OURS: dict[str, Any] = {
    "features": FEATURES,
    "loss": "l1+gradient",
    "optimizer": "muon",
    "learning_rate": 6e-3,
    "weight_decay": 0.01,
    "averaging": 0.0,
    "sampling": "foreground",
    "augmentation": "intensity",
    "flip_averaging": True,
}
# What differs between the networks of the registry. The article's network keeps the recipe of its article:
# mean squared error, learning rate 1e-3, no augmentation, the images alone as input. Those
# of MONAI get the recipe of ours, at rates that suit their size; patches are whole strides.
RECIPES: dict[str, dict[str, Any]] = {
    "unet": {**_OURS, "channels": (16, 32, 64), "patch": 40, "batch": 2},
    "unet-base": {**_OURS, "channels": (32, 64, 128, 256), "patch": 64, "batch": 2, "learning_rate": 3e-3},
    "seed-resnet": {
        "channels": (32,),
        "features": (),
        "patch": 32,
        "batch": 2,
        "loss": "mse",
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "averaging": 0.0,
        "sampling": "foreground",
        "augmentation": "none",
        "flip_averaging": False,
    },
    "segresnet": {**_OURS, "channels": (16, 32, 64), "patch": 32, "batch": 2, "learning_rate": 2e-3},
    "dynunet": {**_OURS, "channels": (16, 32, 64, 128), "patch": 48, "batch": 2, "learning_rate": 2e-3},
}
WARMUP = 0.3
BASELINE = "seed-resnet"


def make_plan(
    network: str,
    sources: Sequence[str],
    target: str,
    *,
    minutes: float | None,
    max_steps: int | None,
    precision: str,
    seed: int,
    patch: int | None = None,
    norm: str = "batch",
    loss: str | None = None,
    averaging: float | None = None,
    learning_rate: float | None = None,
    augmentation: str | None = None,
    sampling: str | None = None,
    epochs: float | None = None,
    input_mode: str = "patches",
    slice_axis: str | None = None,
    extents: Sequence[int] | None = None,
    sources_may_miss: bool = False,
) -> Plan:
    """Decide how a network is trained.

    Parameters
    ----------
    network : str
        Name in the registry of networks.
    sources : sequence of str
        Contrasts to predict from.
    target : str
        Contrast to predict.
    minutes : float or None
        Time of one training; ``None`` where steps or epochs alone end it.
    max_steps : int or None
        Steps of one training, where they rather than the time shall end it.
    precision : str
        As Lightning Fabric names it.
    seed : int
        Seed of every random number.
    patch : int or None
        Edge of a training patch, voxels, where it shall not be the recipe's.
    norm : str
        Normalization, see `build_network`.
    loss : str or None
        What is minimized, where it shall not be the recipe's.
    averaging : float or None
        Width of the average of the weights, as a share of the steps, where it shall not be the recipe's.
    learning_rate : float or None
        Peak of the schedule, where it shall not be the recipe's.
    augmentation : str or None
        How training patches are varied, where it shall not be the recipe's.
    sampling : str or None
        Where they are drawn, where it shall not be the recipe's.
    epochs : float or None
        Length of one training in epochs, where they shall end it.
    input_mode, slice_axis, extents
        What a step is shown; see `patch_shape`.
    sources_may_miss : bool
        Whether the network shall learn to do without some of its sources.

    Returns
    -------
    Plan
    """
    asked = {
        "loss": loss,
        "averaging": averaging,
        "learning_rate": learning_rate,
        "augmentation": augmentation,
        "sampling": sampling,
    }
    recipe = {**RECIPES[network], **{name: value for name, value in asked.items() if value is not None}}
    edge = patch or edge_of(network, input_mode)
    recipe["patch"] = patch_shape(input_mode, slice_axis, edge, extents)
    recipe["batch"] = BATCHES.get(input_mode, recipe["batch"])
    if sources_may_miss and input_mode != "volumes":  # three whole volumes would need 7 GB
        recipe["batch"] *= times_larger(len(sources))
    return Plan(
        sources=tuple(sources),
        target=target,
        network=network,
        warmup=WARMUP,
        precision=precision,
        minutes=minutes,
        max_steps=max_steps,
        epochs=epochs,
        seed=seed,
        norm=norm,
        input_mode=input_mode,
        slice_axis=(slice_axis or "axial") if input_mode in SLICED else None,
        sources_may_miss=sources_may_miss,
        **recipe,
    )


def edge_of(network: str, input_mode: str) -> int:
    """Return the edge of a network's training patches, voxels, where nobody asks for another."""
    return SLICE_PATCH if input_mode == "slice-patches" else int(RECIPES[network]["patch"])


def features_of(network: str) -> tuple[str, ...]:
    """Return the feature channels that a network of the registry reads besides the sources."""
    return tuple(RECIPES[network]["features"])


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain JSON types."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(plan).items()}


def plan_from_json(values: dict[str, Any], origin: str) -> Plan:
    """Rebuild a plan from `plan_to_json`.

    What has a default may be missing, and a patch be one number: then there was no choice yet.

    Raises
    ------
    DataError
        Names are missing or unknown; `origin` is the file that the message names.
    """
    fields = dataclasses.fields(Plan)
    needed = {field.name for field in fields if field.default is dataclasses.MISSING}
    if wrong := (needed - set(values)) | (set(values) - {field.name for field in fields}):
        raise DataError(
            f"{origin}: not a plan of this version: {json.dumps(sorted(wrong))}", "use the version that wrote it"
        )
    arguments: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    if isinstance(edge := arguments["patch"], int):
        arguments["patch"] = (edge, edge, edge)
    return Plan(**arguments)
