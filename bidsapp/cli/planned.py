"""Fields of the plan that have an option of their own: ``--plan loss=mse`` is ``--loss mse``."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from bidsapp.errors import UsageError
from bidsapp.settings import Settings
from bidsapp.synthesis.overrides import split, typed

if TYPE_CHECKING:
    from collections.abc import Mapping

# Where setting and field are called differently.
RENAMED = {
    "sources": "source",
    "averaging": "ema",
    "learning_rate": "lr",
    "sources_may_miss": "allow_missing_source",
}


def unfolded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which a field of the plan that has an option of its own stands under that.

    Parameters
    ----------
    values : Mapping
        Settings of one origin: a command line, or a file.

    Returns
    -------
    dict
        Of ``plan`` only the other fields are left.

    Raises
    ------
    UsageError
        A field is unknown, is no value of its option, or is given by both.
    """
    result = {name: value for name, value in values.items() if name != "plan"}
    hints = typing.get_type_hints(Settings)
    left = []
    for field, text in split(values.get("plan", ())).items():
        setting = RENAMED.get(field, field)
        if setting not in hints:
            left.append(f"{field}={text}")
            continue
        if setting in result:
            option = f"--{setting.replace('_', '-')}"
            raise UsageError(f"{option} and --plan {field} say the same", "give one of them")
        try:
            result[setting] = typed(text, hints[setting])
        except ValueError as error:
            raise UsageError(f"--plan {field}={text}: {error}", "correct it") from error
    return {**result, "plan": tuple(left)} if left else result
