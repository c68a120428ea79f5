"""The graph of a run as a picture."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from bidsapp.records import Scan, Visit
from bidsapp.settings import Settings
from bidsapp.workflows import drawing
from bidsapp.workflows.drawing import draw_graph


@pytest.fixture
def draw(tmp_path):
    """Return a function that draws the graph of two visits, the second of which has two scans."""
    scans = [Scan(tmp_path / f"sub-01_{contrast}.nii.gz", contrast) for contrast in ("T1w", "FLAIR")]
    visits = Visit("01", None, tuple(scans[:1])), Visit("02", None, tuple(scans))
    settings = Settings(tmp_path, tmp_path / "out", ("participant",))
    return lambda: draw_graph(settings, visits, tmp_path)


def test_without_graphviz_it_is_dot(draw, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(drawing.shutil, "which", lambda _: None)
    assert draw() == [tmp_path / "graph.dot"]
    text = (tmp_path / "graph.dot").read_text()
    assert text.startswith("digraph sub_02")
    assert all(step in text for step in ("T1w_wf", "FLAIR_wf", "register", "sink"))
    assert "graphviz is not installed" in caplog.text


def test_graphviz_is_asked_for_svg(draw, tmp_path, monkeypatch):
    asked = []

    def run(words, **_):
        asked.append(words)
        Path(words[-1]).write_text("<svg/>")
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(drawing.shutil, "which", lambda _: "/bin/dot")
    monkeypatch.setattr(drawing.subprocess, "run", run)
    assert draw() == [tmp_path / "graph.dot", tmp_path / "graph.svg"]
    assert asked == [["/bin/dot", "-Tsvg", str(tmp_path / "graph.dot"), "-o", str(tmp_path / "graph.svg")]]


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_draws_it(draw):
    _, svg = draw()
    assert "register" in svg.read_text()
