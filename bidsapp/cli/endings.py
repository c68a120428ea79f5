"""How a command ends, whatever ends it: in one line and an exit status."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING

from bidsapp.errors import AppError, ExitCode, InputOutputError
from bidsapp.home import at_home

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Work = Callable[[Sequence[str]], ExitCode | None]
    Main = Callable[[Sequence[str] | None], int]

REFUSED = "check the path, its permissions and the disk's space"


def command(program: str) -> Callable[[Work], Main]:
    """Make a command of a function that takes its words; what the function raises is told in one line.

    Parameters
    ----------
    program : str
        The command's name.

    Returns
    -------
    callable
        A decorator. The command takes the words after the program's name, by default those of the process, and
        returns an `ExitCode`.
    """

    def decorate(work: Work) -> Main:
        @functools.wraps(work)
        def main(words: Sequence[str] | None = None) -> int:
            with at_home():
                try:
                    code = work(sys.argv[1:] if words is None else words) or ExitCode.OK
                    sys.stdout.flush()  # here, where somebody hears that it fails
                    return int(code)
                except AppError as raised:
                    error = raised
                except KeyboardInterrupt:
                    sys.stderr.write(f"{program}: interrupted [exit {int(ExitCode.INTERRUPTED)}]\n")
                    return int(ExitCode.INTERRUPTED)
                except BrokenPipeError:  # whoever reads has read enough, as `head` has
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                    return int(ExitCode.OK)
                except OSError as raised:
                    error = InputOutputError.of(raised, REFUSED)
            sys.stderr.write(f"{program}: stopped: {error} [exit {int(error.exit_code)}]\n")
            return int(error.exit_code)

        return main

    return decorate
