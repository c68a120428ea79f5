"""A settings file: `Settings` as TOML, read back with the types that it declares."""

from __future__ import annotations

import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from bidsapp.errors import UsageError
from bidsapp.settings import Settings
from bidsapp.text import read_text

# Bytes; ours have three thousand.
LARGEST = 1_000_000


def read_toml(path: Path) -> dict[str, Any]:
    """Read a settings file into keyword arguments of `Settings`.

    Parameters
    ----------
    path : Path
        A TOML file as ``Settings.to_toml`` writes it; any subset of the names.

    Returns
    -------
    dict
        Values of the types that `Settings` declares.

    Raises
    ------
    UsageError
        The file is missing or no TOML, or has an unknown name or a value of the wrong type.
    """
    try:
        values = tomllib.loads(read_text(path, LARGEST))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "give --config-file an existing file") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no valid TOML: {error}", "see logs/<run>/config.toml of a run") from error
    unknown = sorted(set(values) - Settings.known_names())
    if unknown:
        raise UsageError(f"{path}: unknown settings {', '.join(unknown)}", "remove or correct them")
    hints = typing.get_type_hints(Settings)
    return {name: _typed(path, name, value, hints[name]) for name, value in values.items()}


def _typed(path: Path, name: str, value: Any, hint: Any) -> Any:
    """Return `value` as the type that the field `name` declares, or raise `UsageError`."""
    if isinstance(hint, types.UnionType):  # only "X | None", and TOML has no null
        hint = next(arg for arg in typing.get_args(hint) if arg is not types.NoneType)
    if typing.get_origin(hint) is tuple and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise UsageError(f"{path}: {name} = {value!r} is not of type {getattr(hint, '__name__', hint)}", "correct it")
