"""What is to become of the images of a source folder: converted, left out for a reason, or refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bidsapp.errors import AppError, NoInputError
from bidsapp.formats.mapping import Item

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 3


@dataclass
class Sorted:
    """What a mapping, a recipe or a guess made of a folder.

    Attributes
    ----------
    items : list of Item
        To convert.
    left_out : dict of str to list of str
        Reason → names, of what is no image to convert.
    refused : list of AppError
        Why others cannot be converted, although they should be.
    """

    items: list[Item] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    refused: list[AppError] = field(default_factory=list)

    def put(self, name: str, made: Item | str | AppError) -> None:
        """Add what was made of a candidate: an item, a reason to leave it out, or an error."""
        if isinstance(made, Item):
            self.items.append(made)
        elif isinstance(made, AppError):
            self.refused.append(made)
        else:
            self.left_out.setdefault(made, []).append(name)

    def reasons(self) -> Iterable[str]:
        """Yield a line for each reason that something is left out for."""
        for reason, names in self.left_out.items():
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"{', '.join(names[:SHOWN])}{more}: {reason}"

    def check_any(self, message: str, hint: str) -> None:
        """Raise `NoInputError`, with the reasons, where nothing is to be converted or refused."""
        if not self.items and not self.refused:
            raise NoInputError("; ".join([message, *self.reasons()]), hint)
