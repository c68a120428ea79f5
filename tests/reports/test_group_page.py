"""The group report as a person meets it: in a browser, and of a thousand visits."""

import re

import pytest

from bidsapp.reports.group import write_group_report

from ..browser import Browser
from ..fabricated_cohort import fabricated_report

FIRST_CELLS = "Array.from(document.querySelectorAll('#{} tbody tr'), row => row.cells[{}].textContent.trim())"


def test_the_page_of_a_thousand_visits_is_below_20_mb(tmp_path):
    path = write_group_report(fabricated_report(tmp_path, 1000, 600_000), tmp_path / "group.html")
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < 20e6
    assert text.count('<tr data-group="T1w"') == 1000
    assert text.count("data:image/svg+xml;charset=utf-8,") == 12
    assert "12 of 1000 predictions are shown" in text
    assert not re.search(r'(src|href)="(https?:)?//|@import|url\(', text)


@pytest.mark.slow
def test_the_page_in_a_browser(tmp_path):
    path = write_group_report(fabricated_report(tmp_path, 130), tmp_path / "group.html")
    with Browser() as page:
        for width in (1400, 390):
            page.resize(width)
            page.prefer("dark" if width == 390 else "light")
            page.open(path)
            assert page.complaints == []
            assert page.requests == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        empty = (
            "Array.from(document.querySelectorAll('svg.chart')).filter(c => c.getBoundingClientRect().height < 40)"
        )
        assert page.evaluate(f"{empty}.length") == 0
        _sorts(page)
        _filters(page)


def _sorts(page):
    """A click sorts by number, another one turns it round, and the head says so."""
    marks = FIRST_CELLS.format("quality-table", 2)
    assert page.evaluate(f"{marks}.length") == 100
    head = "document.querySelectorAll('#quality-table thead th')[2]"
    assert page.evaluate(f"{head}.getAttribute('aria-sort')") == "none"
    for direction in ("ascending", "descending"):
        page.evaluate(f"{head}.querySelector('button').focus()")
        for kind in ("keyDown", "keyUp"):
            page.call(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
            )
        assert page.evaluate(f"{head}.getAttribute('aria-sort')") == direction
        found = list(map(int, page.evaluate(marks)))
        assert found == sorted(found, reverse=direction == "descending")
    assert found[0] > 0


def _filters(page):
    """Words, a contrast and marks each leave the rows that fit."""
    form = "document.querySelector('form[data-table=quality-table]')"
    change = "dispatchEvent(new Event('input', {bubbles: true}))"
    page.evaluate(f"{form}.elements.group.value = 'FLAIR', {form}.elements.group.{change}")
    assert set(page.evaluate(FIRST_CELLS.format("quality-table", 1))) == {"FLAIR"}
    page.evaluate(f"{form}.elements.words.value = 'SUB-0003_ses-2', {form}.elements.words.{change}")
    assert page.evaluate(FIRST_CELLS.format("quality-table", 0)) == ["sub-0003_ses-2"]
    assert page.evaluate(f"{form}.querySelector('output').textContent") == "1 of 357 rows"
    page.evaluate(f"{form}.elements.words.value = '', {form}.elements.group.value = ''")
    page.evaluate(f"{form}.elements.marked.checked = true, {form}.elements.marked.{change}")
    rows = "Array.from(document.querySelectorAll('#quality-table tbody tr'))"
    assert 0 < page.evaluate(f"{rows}.length") < 100
    assert page.evaluate(f"{rows}.every(row => row.querySelector('.out') || row.cells[3].textContent)")
