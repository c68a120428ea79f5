"""What a person sees while a run goes on: a progress bar on a terminal, a table at the end."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence


@contextmanager
def progress_bar(description: str, total: float) -> Iterator[Callable[[float, str], None]]:
    """Show a bar on standard error for as long as the block lasts; silent when that is no terminal.

    Parameters
    ----------
    description : str
        Stands before the bar.
    total : float
        Value of a completed bar.

    Yields
    ------
    callable
        ``update(completed, text)`` moves the bar and shows a short text behind it.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(description, total=total, text="")
        yield lambda completed, text: bar.update(task, completed=completed, text=text)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Mapping[str, object]], *, wrap: Container[str] = ()
) -> None:
    """Print a table on standard output; numbers to three decimals, missing values as ``–``.

    Parameters
    ----------
    title : str
        Stands above.
    columns : sequence of str
        The first is aligned left, others right, words that wrap left.
    rows : sequence of Mapping
        Column → value.
    wrap : container of str
        Columns of words that go on in the next line.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(
            column, justify="left" if number == 0 or column in wrap else "right", no_wrap=column not in wrap
        )
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    width = None if sys.stdout.isatty() else 160  # a log file has no width; do not cut numbers to 80 columns
    Console(width=width).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
