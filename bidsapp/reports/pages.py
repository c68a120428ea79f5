"""From records to HTML: the templates' environment, and how numbers are written."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from bidsapp.bids.sink import write_text

if TYPE_CHECKING:
    from pathlib import Path

MISSING = "n/a"


def write_page(template: str, path: Path, **values: object) -> Path:
    """Fill a template, every value escaped, and write the page."""
    return write_text(fill(template, **values), path)


def fill(template: str, **values: object) -> str:
    """Fill a template, every value escaped."""
    environment = Environment(
        loader=PackageLoader("bidsapp.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["paragraphs"] = paragraphs
    return environment.get_template(template).render(**values)


def paragraphs(text: str) -> list[str]:
    """Split a text at its empty lines."""
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def show(value: object, digits: int | None = None) -> str:
    """Write a value as a reader expects it.

    Parameters
    ----------
    value : object
        A number, a text, a list of them, or ``None``.
    digits : int, optional
        Decimals of a number; without it a float has four significant digits.

    Returns
    -------
    str
        ``n/a`` for ``None``, not-a-number and an empty text; a text is left as it is.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(show(item, digits) for item in value) or MISSING
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return MISSING if math.isnan(value) else str(value)
        if digits is not None:
            return f"{value:.{digits}f}"
        return str(value) if isinstance(value, int) else f"{value:.4g}"
    return MISSING if value is None else str(value) or MISSING
