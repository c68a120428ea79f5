"""The documentation: it builds without a warning, and what it builds asks nobody for anything."""

import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from .commands import ROOT


@pytest.mark.slow
def test_pages_build_without_a_warning_and_fetch_nothing(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    words = [*command, "-d", tmp_path / "doctrees", ROOT / "docs", tmp_path / "html"]
    result = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    pages = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "html").glob("*.html")}
    assert {"index.html", "usage.html", "api.html", "faq.html", "architecture.html"} <= pages.keys()
    for name, page in pages.items():
        assert not re.search(r"<(?:img|script|iframe)[^>]* src=\"(?:https?:)?//", page), name
        assert not re.search(r"<link[^>]* href=\"(?:https?:)?//", page), name
    for sheet in (tmp_path / "html/_static").glob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet
    from bidsapp.cli.parser import build_parser

    for action in build_parser()._actions:
        for option in action.option_strings:
            assert option in pages["usage.html"]
    assert "estimate_bias_field" in pages["api.html"]


def test_the_picture_is_drawn_with_text_that_can_be_read_aloud():
    picture = ET.parse(ROOT / "docs/architecture.svg").getroot()  # noqa: S314 - ours
    names = {element.tag.rpartition("}")[2] for element in picture.iter()}
    assert {"title", "desc"} <= names
    assert not names & {"script", "image", "foreignObject"}
    shown = " ".join(element.text or "" for element in picture.iter() if element.tag.endswith("text"))
    for room in ("cli/", "workflows/", "interfaces/", "reports/", "phantom/", "bids/", "synthesis/", "imaging/"):
        assert room in shown
