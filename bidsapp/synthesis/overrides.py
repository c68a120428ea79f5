"""Fields of a plan that a person sets one by one, ``patch=48``, typed as the plan declares them."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import TYPE_CHECKING, Any

from bidsapp.errors import UsageError
from bidsapp.records import Plan
from bidsapp.synthesis.modes import SLICED, WHOLE
from bidsapp.synthesis.plan import FEATURES, OPTIMIZERS, RECIPES, edge_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What a field's numbers may be; those that are not listed have an option of their own, or any.
LIMITS: dict[str, tuple[float, float]] = {
    "channels": (1, 4096),
    "patch": (16, 512),
    "batch": (1, 4096),
    "learning_rate": (1e-7, 1),
    "warmup": (0.01, 0.99),
    "weight_decay": (0, 10),
    "averaging": (0, 0.28),
    "minutes": (1e-3, 1e6),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "features": FEATURES,
    "optimizer": OPTIMIZERS,
    "precision": ("32-true", "bf16-mixed"),
}
# Least and greatest number of levels.
LEVELS = {"seed-resnet": (1, 1), "dynunet": (3, 8)}
ANY_LEVELS = (1, 8)
TRUTH = {"true": True, "false": False}


def split(words: Sequence[str]) -> dict[str, str]:
    """Return field → text of ``FIELD=TEXT`` words.

    Raises
    ------
    UsageError
        A word is of another form, names no field of a plan, or one that an earlier word names.
    """
    known = typing.get_type_hints(Plan)
    texts: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"--plan {word}: no FIELD=VALUE", "write patch=48, or channels=32,64,128")
        if name not in known:
            raise UsageError(f"--plan {word}: a plan has no {name}", f"it has {', '.join(known)}")
        if name in texts:
            raise UsageError(f"--plan: {name} is given twice", "give it once")
        texts[name] = text
    return texts


def read_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Return field → value of ``FIELD=VALUE`` words.

    Parameters
    ----------
    words : sequence of str
        Commas separate the parts of a value that has several; one that may be missing may be ``none``.

    Returns
    -------
    dict
        Keyword arguments of `dataclasses.replace` for a `Plan`.

    Raises
    ------
    UsageError
        As by `split`, or a value is not of the field's type or out of its range.
    """
    hints = typing.get_type_hints(Plan)
    values: dict[str, Any] = {}
    for name, text in split(words).items():
        try:
            values[name] = typed(text, hints[name])
            _check(name, values[name])
        except ValueError as error:
            raise UsageError(f"--plan {name}={text}: {error}", "correct it") from error
    return values


def typed(text: str, hint: Any) -> Any:
    """Return a text as the type that a field declares; `ValueError` where it is none of it."""
    if isinstance(hint, types.UnionType):  # only "X | None"
        if text.lower() == "none":
            return None
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        return tuple(typed(part, typing.get_args(hint)[0]) for part in text.split(",") if part)
    if hint is bool:
        if text.lower() not in TRUTH:
            raise ValueError(f"{text!r} is neither true nor false")
        return TRUTH[text.lower()]
    if hint is int or hint is float:
        return _number(text, hint)
    if not text:
        raise ValueError("there is no value")
    return text


def overridden(plan: Plan, overrides: Mapping[str, Any]) -> Plan:
    """Return a plan with other fields; a patch of one number has edges of that length."""
    values = dict(overrides)
    if len(edge := values.get("patch", ())) == 1:
        values["patch"] = (*2 * edge, plan.patch[2] if plan.slices else edge[0])
    return dataclasses.replace(plan, **values)


def check_size(network: str, mode: str, overrides: Mapping[str, Any]) -> None:
    """Raise `UsageError` where a network cannot have these channels, or not with this patch."""
    size = {"patch": (edge_of(network, mode),), "channels": RECIPES[network]["channels"], **overrides}
    channels, patch = size["channels"], min(size["patch"], default=0)
    if "patch" in overrides and mode in WHOLE:
        hint = "leave the patch out; --input-mode patches and slice-patches have one"
        raise UsageError(f"--plan patch: with --input-mode {mode} it is as large as the volume", hint)
    edges = (1,) if mode in SLICED else (1, 3)
    if len(size["patch"]) not in edges:
        hint = "write patch=48" + (" or patch=48,48,32" if 3 in edges else "")
        raise UsageError(f"--plan patch: {len(size['patch'])} edges", hint)
    least, greatest = LEVELS.get(network, ANY_LEVELS)
    if not least <= len(channels) <= greatest:
        count = f"{least}" if least == greatest else f"{least} to {greatest}"
        raise UsageError(f"--plan channels: {len(channels)} levels; {network} has {count}", "give as many numbers")
    if network == "segresnet" and any(n != channels[0] * 2**level for level, n in enumerate(channels)):
        raise UsageError("--plan channels: those of segresnet double from level to level", "such as 16,32,64")
    # Of one voxel there are no statistics to normalize by.
    smallest = 2 ** len(channels)
    if network != "seed-resnet" and mode not in WHOLE and patch < smallest:
        hint = f"give --plan patch={smallest} or more, or fewer channels"
        raise UsageError(f"a patch of {patch} voxels is too small for {len(channels)} levels", hint)


def _number(text: str, kind: type[int] | type[float]) -> int | float:
    try:
        value = kind(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no {'whole number' if kind is int else 'number'}") from error
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value


def _check(name: str, value: Any) -> None:
    if name == "minutes" and value is None:
        raise ValueError("something has to end a training: give --max-steps or --epochs instead")
    low, high = LIMITS.get(name, (-math.inf, math.inf))
    for part in value if isinstance(value, tuple) else (value,):
        if isinstance(part, int | float) and not low <= part <= high:
            raise ValueError(f"{part:g} is not within {low:g} to {high:g}")
        if name in CHOICES and part not in CHOICES[name]:
            raise ValueError(f"there is {', '.join(CHOICES[name])}")
