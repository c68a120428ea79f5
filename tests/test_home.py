"""Who has no home folder gets one, who has no name gets one, and everybody else keeps what they have."""

import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bidsapp import home
from bidsapp.home import at_home, templateflow_home

NOBODY = 12345  # no such user anywhere


def test_a_home_that_can_be_written_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with at_home():
        assert os.environ["HOME"] == str(tmp_path)


@pytest.mark.parametrize("given", ["/", "/nonexistent", "relative", ""])
def test_a_missing_home_is_replaced_and_removed(monkeypatch, given):
    monkeypatch.setenv("HOME", given)
    monkeypatch.delenv("TEMPLATEFLOW_HOME", raising=False)
    if not given:
        monkeypatch.setattr(home.os.path, "expanduser", lambda path: path)
    with at_home():
        folder = Path(os.environ["HOME"])
        (folder / "cache").mkdir()
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    assert os.environ["HOME"] == given
    assert "TEMPLATEFLOW_HOME" not in os.environ


def test_templates_stay_where_they_were(monkeypatch):
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("TEMPLATEFLOW_HOME", raising=False)
    with at_home():
        assert templateflow_home() == Path("/nonexistent/.cache/templateflow")
    monkeypatch.setenv("TEMPLATEFLOW_HOME", "/templates")
    with at_home():
        assert templateflow_home() == Path("/templates")


def test_without_a_place_for_temporary_files_nothing_is_replaced(monkeypatch):
    def refuse(**_):
        raise FileNotFoundError

    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setattr(home.tempfile, "TemporaryDirectory", refuse)
    with at_home():
        assert os.environ["HOME"] == "/nonexistent"


def test_a_user_without_an_entry_has_a_name(monkeypatch):
    for name in home.NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(home.os, "getuid", lambda: NOBODY)
    with at_home():
        assert getpass.getuser() == "uid12345"
    assert "LOGNAME" not in os.environ


# What refuses to be imported, or to work, for a user whom the system does not know and who has no home.
LIBRARIES = """
import getpass, os, pwd

def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = unknown
os.getuid = lambda: 12345
assert os.path.expanduser("~") == "~"

from bidsapp.home import at_home

with at_home():
    import matplotlib
    matplotlib.get_cachedir()
    import nilearn.datasets
    nilearn.datasets.load_mni152_template(2)
    import monai.networks.nets
    import nipype.pipeline.engine
    import bids
    bids.config.get_option("config_paths")
    from torch._inductor.runtime.cache_dir_utils import cache_dir
    cache_dir()
    from deepbet import BrainExtraction
    BrainExtraction(no_gpu=True)
"""


@pytest.mark.slow
def test_libraries_work_without_home_and_name(tmp_path):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", LIBRARIES]
    folder = tmp_path / "here"
    folder.mkdir()
    result = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "matplotlib" not in result.stderr.lower()  # it warns where it finds no folder for its cache
    assert list(folder.iterdir()) == []  # no folder called "~"
    assert list(tmp_path.glob("synthprep-home-*")) == []
