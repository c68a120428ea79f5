import shlex
import sys

import numpy as np

from bidsapp.reports.environment import command_line, versions


def test_the_command_can_be_given_to_a_shell_again(monkeypatch):
    words = ["/data/my study", "/out", "participant", "--participant-label", "01", "it's"]
    monkeypatch.setattr(sys, "argv", ["/usr/lib/python3/bidsapp/__main__.py", *words])
    assert shlex.split(command_line()) == ["synthprep", *words]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/synthprep", "/data"])
    assert command_line() == "synthprep /data"


def test_versions_are_those_that_run(monkeypatch):
    monkeypatch.setenv("SYNTHPREP_CONTAINER", "docker")
    found = versions()
    assert found["numpy"] == np.__version__
    assert found["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["Container"] == "docker"
