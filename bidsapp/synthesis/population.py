"""The scale of a cohort as a bundle keeps it: named arrays in a format that cannot carry code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bidsapp.errors import DataError
from bidsapp.scales import Population

if TYPE_CHECKING:
    from pathlib import Path


def write_population(path: Path, population: Population) -> None:
    """Write the scale of a cohort."""
    numbers = {name: np.ascontiguousarray(values) for name, values in population.numbers.items()}
    path.write_bytes(save(numbers, metadata={"method": population.method}))


def read_population(path: Path) -> Population:
    """Read what `write_population` wrote; `DataError` where it is something else."""
    try:
        with safe_open(path, framework="np") as file:
            numbers = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            method = file.metadata()["method"]
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no scale of a cohort ({error})", "copy the bundle again") from error
    if not all(np.isfinite(values).all() for values in numbers.values()):
        raise DataError(f"{path}: has numbers that are not finite", "do not use this bundle")
    return Population(method, numbers)
