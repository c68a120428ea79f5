"""The page of one visit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bidsapp.bids.sink import write_text
from bidsapp.reports.pages import MISSING, fill, show, write_page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bidsapp.reports.records import VisitReport


class Measure(NamedTuple):
    """A row of the table of quality numbers: name with unit, how to read it, decimals, kind, what empty means."""

    label: str
    note: str = ""
    digits: int | None = None
    text: bool = False
    empty: str = MISSING


# Between these lines of a visit's page stands what the group level says of its synthesized image.
VERDICT, END = "<!-- verdict -->\n", "<!-- end of the verdict -->\n"
# Columns of scans.tsv; one that is not listed is shown under its own name.
MEASURES = {
    "brain_volume_ml": Measure("Brain volume, mL", "of the mask found on this image", 0),
    "edge_contact_cm2": Measure("Brain on the edge of the field of view, cm²", "0: none of it was cut off", 1),
    "cjv": Measure("Coefficient of joint variation", "noise and bias field; lower is better", 3),
    "cnr": Measure("Contrast to noise, grey and white matter", "higher is better", 2),
    "snr": Measure("Signal to noise", "higher is better", 1),
    "efc": Measure("Entropy focus criterion", "ghosts and blurring raise it", 3),
    "fber": Measure("Energy of the head over that of the air", "higher is better", 0),
    "wm2max": Measure("White matter over the brightest voxels", "0.6 to 0.8 is usual for T1w", 2),
    "inu_range": Measure("Bias field that was removed", "its 95th percentile over its 5th; 1 is none", 2),
    "residual_bias": Measure("Variation of smoothed white matter", "what is left of the bias field", 3),
    "mask_dice": Measure("Overlap with the reference’s brain mask, Dice", "in its field of view; 1 is perfect", 3),
    "covered": Measure("Share of the reference’s brain in its field of view", "1 is all of it", 2),
    "nmi_before": Measure(
        "Normalized mutual information before registration", "by the scanner’s geometry alone", 3
    ),
    "nmi_after": Measure("Normalized mutual information after registration", "higher is better", 3),
    "edge_overlap": Measure("Edges of the reference that the scan has, too", "1 is all of them", 2),
    "residual_mm": Measure("Moved by a second search, mm", "0 is at the optimum", 2),
    "rotation_deg": Measure("Rotation to the reference, degrees", "", 2),
    "translation_mm": Measure("Shift to the reference, mm", "of the brain’s centre", 2),
    "volume_ratio": Measure("Volume after registration over that before", "1 for a rigid one", 2),
    "template_dice": Measure("Overlap with the template’s brain mask, Dice", "after registration to it", 3),
    "scale_offset": Measure("Intensity offset, units of the image", "becomes 0 when normalized"),
    "scale_scale": Measure("Intensity scale, units of the image", "becomes 1 when normalized"),
    "flags": Measure("Flags", text=True, empty="none"),
    "filename": Measure("File", text=True),
}


def write_visit_report(report: VisitReport, path: Path) -> Path:
    """Write the page of one visit.

    Parameters
    ----------
    report : VisitReport
        What it says.
    path : Path
        The HTML file to write.

    Returns
    -------
    Path
        `path`.
    """
    headings = [show(row.get("contrast")) for row in report.rows]
    return write_page("visit.html", path, report=report, headings=headings, measures=_measures(report))


def write_visit_verdict(path: Path, image: str, label: str, reasons: Sequence[str]) -> None:
    """Put the verdict on a synthesized image on its visit's page, in place of an older one.

    Parameters
    ----------
    path : Path
        The page; nothing is done where there is none, or one of an earlier version.
    image : str
        POSIX path of the image, relative to the page.
    label : str
        ``trust``, ``caution`` or ``reject``.
    reasons : sequence of str
        What is wrong.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, start, rest = text.partition(VERDICT)
    _, end, after = rest.partition(END)
    if start and end:
        said = fill("verdict.html", image=image, label=label, reasons=reasons)
        write_text(before + start + said + end + after, path)


def _measures(report: VisitReport) -> list[dict[str, object]]:
    """Turn the table over, one row for each measure that some image has: images are few, measures many."""
    present = dict.fromkeys(name for row in report.rows for name in row if name != "contrast")
    ordered = [*(name for name in MEASURES if name in present), *(n for n in present if n not in MEASURES)]
    table: list[dict[str, object]] = []
    for name in ordered:
        measure = MEASURES.get(name, Measure(name))
        values = [row.get(name) for row in report.rows]
        cells = [measure.empty if v in {None, "", MISSING} else show(v, measure.digits) for v in values]
        table.append({**measure._asdict(), "cells": cells})
    return table
