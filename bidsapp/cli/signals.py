"""Ctrl-C and SIGTERM: a run that is told to end says its last line, and ends within seconds whatever it is at."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from bidsapp.errors import AppError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AGAIN = "what is finished is kept; run the same command again to go on where it stopped"
# `docker stop` and most batch systems wait for 10 s or more before they kill.
GRACE_SECONDS = 6.0
# Programs such as timeout send a signal twice at once; a person who repeats it means it.
IMPATIENT_SECONDS = 1.0


class InterruptedRunError(AppError):
    """Ctrl-C ended the run."""

    exit_code = ExitCode.INTERRUPTED


class TerminatedRunError(AppError):
    """SIGTERM ended the run."""

    exit_code = ExitCode.TERMINATED


class Terminate(BaseException):
    """SIGTERM has come; as `KeyboardInterrupt` does, it passes by every ``except Exception``."""


def error_of(number: int) -> AppError:
    """Return what a signal ends a run with."""
    if number == signal.SIGINT:
        return InterruptedRunError("interrupted", AGAIN)
    return TerminatedRunError("terminated", AGAIN)


@contextmanager
def interruptible(give_up: Callable[[AppError], Any]) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the block as an exception does: files are closed, and the run says how it ended.

    Parameters
    ----------
    give_up : callable
        Called with the error that ends the run, in another thread, where the block has not ended some seconds
        after: a library may hold the main thread back, or swallow the exception. It is not to return.
    """
    received: list[float] = []
    main_process = os.getpid()

    def stop(number: int, _: Any) -> None:
        if os.getpid() != main_process:  # a forked worker has nothing to say
            os._exit(128 + number)
        received.append(time.monotonic())
        if len(received) == 1:
            raise KeyboardInterrupt if number == signal.SIGINT else Terminate
        if received[-1] - received[0] > IMPATIENT_SECONDS:
            give_up(error_of(number))

    numbers = (signal.SIGINT, signal.SIGTERM)
    with _watched(numbers, give_up):
        before = {number: signal.signal(number, stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _watched(numbers: tuple[int, ...], give_up: Callable[[AppError], Any]) -> Iterator[None]:
    """Hear of signals in another thread: the system writes them to a pipe before Python comes to handle them."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    ended = Event()

    def watch() -> None:
        while heard := os.read(read, 1):
            if heard[0] in numbers and not ended.wait(GRACE_SECONDS):
                give_up(error_of(heard[0]))

    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        with suppress(ValueError):
            signal.set_wakeup_fd(before)
        os.close(write)
        thread.join()
        os.close(read)
