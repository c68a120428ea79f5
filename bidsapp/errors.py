"""Errors that a person can act on: a message, a hint, and the exit status of the run they end."""

from __future__ import annotations

import errno
from enum import IntEnum

# A disk that is full, a quota that is used up, a disk that became read-only: whatever is tried next fails, too.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
# What helps where memory ran out: fewer steps at a time, or more memory for them.
MEMORY_HINT = "lower --nprocs, or give the job or container more memory and say so with --mem"


class ExitCode(IntEnum):
    """Exit statuses, after BIDS-Apps and ``sysexits.h``."""

    OK = 0
    VISIT_FAILED = 1
    INVALID_BIDS = 16
    UNKNOWN_LEVEL = 17
    NOTHING_SELECTED = 18
    USAGE = 64
    BAD_DATA = 65
    NO_INPUT = 66
    CANNOT_CREATE = 73
    IO = 74
    TEMPORARY = 75
    INTERRUPTED = 130
    TERMINATED = 143


class AppError(Exception):
    """An error whose message names the file and what is wrong, and whose hint says what to do next.

    Parameters
    ----------
    message : str
        What is wrong, with the file it is wrong in.
    hint : str
        What the user can do about it.
    """

    exit_code = ExitCode.VISIT_FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(AppError):
    """The command line or a settings file asks for something that does not exist or contradicts itself."""

    exit_code = ExitCode.USAGE


class UnknownLevelError(UsageError):
    """The analysis level is neither ``participant`` nor ``group``."""

    exit_code = ExitCode.UNKNOWN_LEVEL


class InvalidBidsError(AppError):
    """The dataset is no BIDS dataset."""

    exit_code = ExitCode.INVALID_BIDS


class NothingSelectedError(AppError):
    """The labels or filters given match nothing in the dataset."""

    exit_code = ExitCode.NOTHING_SELECTED


class DataError(AppError):
    """An image or a table that cannot be used."""

    exit_code = ExitCode.BAD_DATA


class NoInputError(AppError):
    """There are files, but none that this run can use (no reference, no pair, no model)."""

    exit_code = ExitCode.NO_INPUT


class InputOutputError(AppError):
    """Something could not be read or written."""

    exit_code = ExitCode.IO

    @classmethod
    def of(cls, error: OSError, hint: str) -> InputOutputError:
        """Return what the system refused as an error for a person to read."""
        return cls(f"{error.filename or 'input or output'}: {error.strerror or error}", hint)


class CannotCreateError(AppError):
    """The output or work folder cannot be written."""

    exit_code = ExitCode.CANNOT_CREATE
