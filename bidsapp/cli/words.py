"""What single words of the command line mean."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, NoReturn

from bidsapp.errors import UsageError
from bidsapp.settings import Settings
from bidsapp.text import read_text

# Bytes of a list of labels.
LARGEST = 16_000_000
LABEL = re.compile(r"[A-Za-z0-9+]+")
MEMORY_UNITS = {"": 1e-3, "M": 1e-3, "MB": 1e-3, "MIB": 2**20 / 1e9, "G": 1.0, "GB": 1.0, "GIB": 2**30 / 1e9}


class Labels(argparse.Action):
    """Collect labels without their prefix; a word that is no label is a text file with one on each line."""

    def __init__(self, *, prefix: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix = prefix

    def __call__(self, _parser: Any, namespace: argparse.Namespace, words: Any, _option: Any = None) -> None:
        """Add to the labels that an earlier use of the option gave."""
        labels = tuple(label for word in words for label in self._read(word))
        setattr(namespace, self.dest, (*getattr(namespace, self.dest, ()), *labels))

    def _read(self, word: str) -> list[str]:
        label = word.removeprefix(self.prefix)
        if LABEL.fullmatch(label):
            return [label]
        try:
            lines = [line.split() for line in read_text(Path(word), LARGEST).split("\n")]
        except (OSError, ValueError) as error:
            raise argparse.ArgumentError(self, f"{word!r} is neither a label nor a text file of labels") from error
        # The first column, so that a participants.tsv will do; its heading has an underscore, as no label has.
        labels = [fields[0].removeprefix(self.prefix) for fields in lines if fields and "_" not in fields[0]]
        bad = [label for label in labels if not LABEL.fullmatch(label)]
        if bad or not labels:
            raise argparse.ArgumentError(self, f"{word}: {repr(bad[0]) + ' is no label' if bad else 'no label'}")
        return labels


def dataset(word: str) -> str:
    """Return ``NAME=PATH`` with an absolute path; of a bare path its last part is the name.

    Raises
    ------
    UsageError
        The name is not one of letters and digits, or the path is empty.
    """
    name, _, path = word.partition("=") if "=" in word else (Path(word).absolute().name, "", word)
    if not re.fullmatch("[A-Za-z0-9]+", name) or not path:
        raise UsageError(f"--derivatives {word!r}: no NAME=PATH", "give a NAME of letters and digits, and a PATH")
    return f"{name}={Path(path).absolute()}"


def contrasts(word: str) -> tuple[str, ...]:
    """Return the contrasts of ``T1w,T2w``."""
    parts = tuple(part for part in word.split(",") if part)
    if not parts or len(set(parts)) < len(parts):
        raise argparse.ArgumentTypeError(f"{word!r}: give contrasts once each, as in T1w,T2w")
    return parts


def memory(word: str) -> float:
    """Return GB: ``16G``, ``1.5GiB``, ``16000`` (MB)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", word)
    if not match or match[2].upper() not in MEMORY_UNITS or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{word!r} is no amount of memory; write 16G, 1.5GiB or 16000 (MB)")
    return float(match[1]) * MEMORY_UNITS[match[2].upper()]


def default(name: str) -> str:
    """Return what a setting is by default, as help texts say it."""
    value = getattr(Settings, name)
    return (
        ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
    )


class CommandParser(argparse.ArgumentParser):
    """Raises `UsageError` where argparse would exit with its own status."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the words, and where to read more."""
        raise UsageError(message, f"see {self.prog} --help")
