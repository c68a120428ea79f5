"""Every command that README and docs/ show is one that the programs accept."""

import importlib
import re
import tomllib

import pytest

from bidsapp.cli.parser import build_parser

from .commands import ROOT, commands_of, pages

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
ALL = [command for page in pages() for command in commands_of(page)]
# What starts our program in front of it, and is not ours.
LAUNCHERS = {"docker", "apptainer", "singularity", "podman", "srun", "torchrun", "mpirun", "flock", "nice"}


def ours(words):
    """Return our program among the words of a command, and what it is given; ``None`` where it does not run it."""
    if words[0] in SCRIPTS:
        return words[0], words[1:]
    if words[0] not in LAUNCHERS or words[1:2] in {("build",), ("buildx",), ("pull",)}:
        return None
    for number, word in enumerate(words[1:], 1):
        name = re.sub(r":[\w.-]+$|\.sif$", "", word.rpartition("/")[2])
        after_option = words[number - 1].startswith("-") and words[number - 1] not in {
            "-m",
            "--rm",
            "--containall",
        }
        if (name in SCRIPTS or name == "bidsapp") and not after_option:
            return ("synthprep" if name == "bidsapp" else name), words[number + 1 :]
    return None


def parse(program, words):
    if program == "synthprep":
        return build_parser().parse_intermixed_args(words)
    module = importlib.import_module(SCRIPTS[program].partition(":")[0])
    return module.build_parser().parse_args(words)


def test_commands_are_found():
    assert len([command for command in ALL if ours(command.words)]) > 25
    assert {command.page for command in ALL} >= {"README.md", "quickstart.md", "tutorial.md", "faq.md"}


@pytest.mark.parametrize(
    "command", [c for c in ALL if ours(c.words)], ids=lambda c: f"{c.page}: {' '.join(c.words)}"
)
def test_a_command_that_is_shown_is_accepted(command):
    program, words = ours(command.words)
    given = parse(program, list(words))
    if program == "synthprep":
        assert set(given.levels) <= {"participant", "group"}


@pytest.mark.parametrize("command", [c for c in ALL if c.words[0] == "make"], ids=lambda c: " ".join(c.words))
def test_a_target_of_make_exists(command):
    makefile = (ROOT / "Makefile").read_text()
    for target in command.words[1:]:
        assert "=" in target or re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_options_in_the_text_exist():
    """In backquotes, on pages that are about our commands only."""
    known = {option for action in build_parser()._actions for option in action.option_strings}
    for name in ("quickstart", "concepts", "tutorial", "reports", "outputs"):
        text = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
        said = {
            match for code in re.findall("`([^`\n]+)`", text) for match in re.findall(r"(?<!\S)--[\w-]+", code)
        }
        assert said - known <= {"--user"}, name
