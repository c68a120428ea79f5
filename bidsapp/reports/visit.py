"""The page of one visit: one file that needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bidsapp.reports.histograms import histogram_panes
from bidsapp.reports.inline import picture
from bidsapp.reports.numbers import quality_table, registration_numbers
from bidsapp.reports.pages import show, write_page

if TYPE_CHECKING:
    from pathlib import Path

    from bidsapp.reports.records import Figure, VisitReport


def write_visit_report(report: VisitReport, path: Path) -> Path:
    """Write the page of one visit.

    Parameters
    ----------
    report : VisitReport
        What it says.
    path : Path
        The HTML file to write; figures are read relative to its folder.

    Returns
    -------
    Path
        `path`.
    """
    figures = [_shown(figure, path.parent) for figure in report.figures]
    contrasts = dict.fromkeys(str(row.get("contrast")) for row in report.rows)
    histograms = [histogram_panes(report.curves, report.visit, contrast) for contrast in contrasts]
    return write_page(
        "visit.html",
        path,
        report=report,
        headings=[show(row.get("contrast")) for row in report.rows],
        measures=quality_table(report),
        bias=[figure for figure in figures if figure["kind"] == "bias"],
        masks=[figure for figure in figures if figure["kind"] == "brain"],
        registrations=[found for contrast in contrasts if (found := _registration(report, figures, contrast))],
        spaces=[figure for figure in figures if figure["kind"] in {"space", ""}],
        histograms=[found for found in histograms if found],
    )


def _shown(figure: Figure, folder: Path) -> dict[str, object]:
    """Return a figure with its picture, ``None`` where the file is not there."""
    return {
        "title": figure.title,
        "caption": figure.caption,
        "path": figure.path,
        "kind": figure.kind,
        "contrast": figure.contrast,
        "picture": picture(folder / figure.path),
    }


def _registration(
    report: VisitReport, figures: list[dict[str, object]], contrast: str
) -> dict[str, object] | None:
    """Return what is shown of the alignment of a contrast; ``None`` for the reference."""
    kinds = {str(figure["kind"]): figure for figure in figures if figure["contrast"] == contrast}
    if "registration" not in kinds:
        return None
    return {
        "contrast": contrast,
        "flags": next((row.get("flags") for row in report.rows if row.get("contrast") == contrast), None),
        "numbers": registration_numbers(report, contrast),
        "edges": kinds["registration"],
        "fixed": kinds.get("fixed"),
        "moving": kinds.get("moving"),
    }
