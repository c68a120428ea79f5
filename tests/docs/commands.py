"""The commands that the documentation shows, as words."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^( *)```(console|bash)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


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
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        text = block[3].replace("\\\n", " ")
        for line in text.splitlines():
            said = line.strip()
            if block[2] == "console":
                if not said.startswith("$ "):
                    continue
                said = said[2:]
            if words := tuple(shlex.split(said, comments=True)):
                found.append(Command(page.name, words))
    return found
