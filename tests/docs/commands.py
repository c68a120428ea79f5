"""The commands that the documentation shows, as words."""

import re
import shlex
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^( *)```(console|bash)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
# What ends a command for a shell.
_END = re.compile(r"^(\d?>|<|\||&|;)")


class Command(NamedTuple):
    """Where a command stands, and its words."""

    page: str
    words: tuple[str, ...]


def pages():
    """Return README and the pages in docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands_of(page):
    """Return what a page's console blocks have after ``$``, and every line of its bash blocks."""
    found = []
    for _, language, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if language == "bash" or line.strip().startswith("$ "):
                found += [Command(page.name, words)] if (words := _words(line.strip().removeprefix("$ "))) else []
    return found


def _words(line):
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a part of a script, such as a quotation over several lines
        return ()
    return tuple(takewhile(lambda word: not _END.match(word), words))
