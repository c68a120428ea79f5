"""Benchmarks run for minutes and therefore rarely: what they take from the package must still be there."""

import ast
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
FILES = sorted(FOLDER.glob("*.py"))


def taken(path):
    """Yield module and name of each import from the package, however deep in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bidsapp":
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_a_benchmark_takes_from_the_package_is_there(path):
    for module, name in taken(path):
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_there_is_something_to_take():
    assert len(FILES) >= 10
    assert sum(len(list(taken(path))) for path in FILES) >= 30
