"""Bundles that come with the software."""

import re
import tomllib
from pathlib import Path

import pytest

from bidsapp.synthesis import library
from bidsapp.synthesis.bundle import read_bundle
from bidsapp.synthesis.library import bundles_in, known_names, packaged, resolved

from ..bundles import small_bundle


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of packaged bundles with one in it."""
    monkeypatch.setattr(library, "FOLDER", tmp_path / "packaged")
    small_bundle(tmp_path / "packaged/small")
    (tmp_path / "packaged/README.md").touch()
    return tmp_path / "packaged"


def test_a_bundle_is_known_by_its_name_unless_there_is_such_a_path(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert packaged() == {"small": folder / "small"}
    assert resolved(Path("small")) == folder / "small"
    assert resolved(Path("other")) == Path("other")
    assert known_names() == "or the name of one that comes with the software: small"
    (tmp_path / "small").mkdir()
    assert resolved(Path("small")) == Path("small")


def test_bundles_of_a_folder(folder, tmp_path):
    small_bundle(tmp_path / "out/models/b")
    (tmp_path / "out/models/b-export").mkdir()
    assert list(bundles_in(tmp_path / "out")) == [tmp_path / "out/models/b"]
    assert list(bundles_in(tmp_path / "out/models")) == [tmp_path / "out/models/b"]
    assert list(bundles_in(folder / "small")) == [folder / "small"]


def test_none(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    assert packaged() == {}
    assert known_names() == "none comes with the software"


def test_those_that_come_with_the_software_are_whole_small_and_in_the_wheel():
    assert library.FOLDER.is_dir()
    project = tomllib.loads((Path(library.__file__).parents[2] / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["bidsapp"]}  # all files of it
    for path in packaged().values():
        assert read_bundle(path).path == path
        assert sum(file.stat().st_size for file in path.iterdir()) < 10_000_000
        for split in read_bundle(path).everybody:
            assert re.fullmatch("sub-[0-9a-f]{12}", split.participant)
