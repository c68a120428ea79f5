"""Weights of a bundle, in a format that cannot carry code, and only those of the plan's network."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from bidsapp.errors import DataError
from bidsapp.synthesis.networks import build_network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from bidsapp.records import Plan

HINT = "copy the bundle again, or do not use it"
# As safetensors names the types that networks have.
TYPES = {torch.float32: "F32", torch.int64: "I64"}


def weights_file(fold: int) -> str:
    """Return the name of a fold's weights."""
    return f"fold-{fold}.safetensors"


def write_weights(folder: Path, networks: Sequence[nn.Module]) -> None:
    """Write the weights of every fold's network."""
    for fold, network in enumerate(networks):
        # MONAI's DynUNet has some layers by two names, and a file of safetensors nothing that is shared.
        state = {name: tensor.contiguous().clone() for name, tensor in network.state_dict().items()}
        (folder / weights_file(fold)).write_bytes(save(state))  # save_file would not say that a disk is full


def network_of(plan: Plan) -> nn.Module:
    """Build the network of a plan."""
    return build_network(plan.network, plan.inputs, plan.channels, plan.seed, plan.norm, plan.slices)


def expected(plan: Plan, origin: Path) -> Mapping[str, Tensor]:
    """Return the state of a plan's network without numbers in it, so that no plan is too large to ask.

    Raises
    ------
    DataError
        There is no such network; `origin` is the file that says so.
    """
    try:
        with torch.device("meta"):
            return cast("Mapping[str, Tensor]", network_of(plan).state_dict())
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{origin}: its plan is of no network ({error})", HINT) from error


def check_layout(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raise `DataError` where a file is no safetensors, or its tensors are not those of a network.

    Reads its first bytes only: neither time nor memory depends on what it claims to hold.
    """
    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: no safetensors file, or not all of it ({error})", HINT) from error
    wanted = {name: (TYPES.get(tensor.dtype), tuple(tensor.shape)) for name, tensor in state.items()}
    if found != wanted:
        odd = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        raise DataError(f"{path}: not the weights of the plan's network, {odd[0]} to begin with", HINT)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file that `check_layout` has passed; `DataError` where a number is not finite."""
    tensors: dict[str, Tensor] = load_file(path)
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise DataError(f"{path}: {name} has numbers that are not finite", HINT)
    return tensors
