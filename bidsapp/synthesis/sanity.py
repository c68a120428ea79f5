"""Whether a plan that somebody else wrote can be one: types, names and sizes, before anything is built from it."""

from __future__ import annotations

import math
import types
import typing
from typing import TYPE_CHECKING, Any

from bidsapp.errors import DataError
from bidsapp.records import Plan
from bidsapp.synthesis.losses import LOSSES
from bidsapp.synthesis.modes import ACROSS, SLICED, WHOLE
from bidsapp.synthesis.networks import NETWORKS
from bidsapp.synthesis.overrides import ANY_LEVELS, LEVELS
from bidsapp.synthesis.pairs import FEATURES
from bidsapp.synthesis.plan import plan_from_json

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

HINT = "do not use this bundle, or use the version of the software that wrote it"
# Larger ones are no network of anybody's, and would only fill the memory.
SIZES = {"channels": 4096, "patch": 4096, "batch": 4096}
CHOICES: dict[str, Collection[str]] = {
    "network": NETWORKS,
    "features": FEATURES,
    "loss": LOSSES,
    "input_mode": {"patches", *SLICED, *WHOLE},
    "slice_axis": ACROSS,
}


def checked_plan(values: dict[str, Any], origin: Path) -> Plan:
    """Return the plan that a bundle says; `DataError` where it is none, and `origin` is the file that said so."""
    plan = plan_from_json(values, str(origin))
    check_plan(plan, origin)
    return plan


def check_plan(plan: Plan, origin: Path) -> None:
    """Raise `DataError` where a plan is none; `origin` is the file that the message names."""
    hints = typing.get_type_hints(Plan)
    for name, hint in hints.items():
        value = getattr(plan, name)
        parts = value if isinstance(value, tuple) else (value,)
        wrong = (
            not _is(value, hint)
            or (name in SIZES and not all(1 <= part <= SIZES[name] for part in parts))
            or (name in CHOICES and not all(part is None or part in CHOICES[name] for part in parts))
            or (name in {"sources", "target"} and not all(part.isalnum() and part.isascii() for part in parts))
        )
        if wrong:
            raise DataError(f"{origin}: {name} = {value!r} of its plan is none", HINT)
    least, greatest = LEVELS.get(plan.network, ANY_LEVELS)
    if not least <= len(plan.channels) <= greatest or not plan.sources:
        raise DataError(f"{origin}: its plan has {len(plan.channels)} levels, {len(plan.sources)} sources", HINT)


def _is(value: Any, hint: Any) -> bool:
    """Return whether a value is of a type that a field of `Plan` declares."""
    if isinstance(hint, types.UnionType):
        return any(_is(value, part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        fits = isinstance(value, tuple) and (kinds[-1] is ... or len(kinds) == len(value))
        return fits and all(_is(part, kinds[0]) for part in value)
    if hint is float:
        return type(value) in {int, float} and math.isfinite(value)
    return type(value) is hint
