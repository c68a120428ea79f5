"""The table of a visit's quality numbers, with the limits beyond which an image is flagged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bidsapp.imaging import alignment, quality
from bidsapp.reports.pages import MISSING, show

if TYPE_CHECKING:
    from bidsapp.reports.records import VisitReport


class Limit(NamedTuple):
    """What a number may be at least and at most; ``only_reference``: other scans are not judged by it."""

    low: float | None = None
    high: float | None = None
    only_reference: bool = False

    def __str__(self) -> str:
        """Write it as people say it."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"at least {self.low:g}" if self.low is not None else f"at most {self.high:g}"

    def passes(self, value: float) -> bool:
        """Return whether a number is within."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


class Measure(NamedTuple):
    """A row of the table: name with unit, how to read it, decimals, kind, what empty means, its limits."""

    label: str
    note: str = ""
    digits: int | None = None
    text: bool = False
    empty: str = MISSING
    limit: Limit | None = None


_VOLUME = Limit(1 - alignment.MAX_VOLUME_CHANGE, 1 + alignment.MAX_VOLUME_CHANGE)
_CUT = Limit(high=quality.MAX_EDGE_CONTACT_CM2, only_reference=True)
# Columns of scans.tsv; one that is not listed is shown under its own name.
MEASURES = {
    "brain_volume_ml": Measure(
        "Brain volume, mL", "of the mask found on this image", 0, limit=Limit(*quality.LIKELY_BRAIN_ML)
    ),
    "edge_contact_cm2": Measure(
        "Brain on the edge of the field of view, cm²",
        "0: none of it was cut off; limit: the reference",
        1,
        limit=_CUT,
    ),
    "cjv": Measure("Coefficient of joint variation", "noise and bias field; lower is better", 3),
    "cnr": Measure("Contrast to noise, grey and white matter", "higher is better", 2),
    "snr": Measure("Signal to noise", "higher is better", 1),
    "efc": Measure("Entropy focus criterion", "ghosts and blurring raise it", 3),
    "fber": Measure("Energy of the head over that of the air", "higher is better", 0),
    "wm2max": Measure("White matter over the brightest voxels", "0.6 to 0.8 is usual for T1w", 2),
    "inu_range": Measure("Bias field that was removed", "its 95th percentile over its 5th; 1 is none", 2),
    "residual_bias": Measure("Variation of smoothed white matter", "what is left of the bias field", 3),
    "mask_dice": Measure(
        "Overlap with the reference’s brain mask, Dice",
        "in its field of view; 1 is perfect",
        3,
        limit=Limit(low=alignment.MIN_MASK_DICE),
    ),
    "covered": Measure(
        "Share of the reference’s brain in its field of view",
        "1 is all of it",
        2,
        limit=Limit(low=alignment.MIN_COVERED),
    ),
    "nmi_before": Measure(
        "Normalized mutual information before registration", "by the scanner’s geometry alone", 3
    ),
    "nmi_after": Measure(
        "Normalized mutual information after registration",
        f"higher is better; not {alignment.MAX_NMI_LOSS:g} below the one before",
        3,
        limit=Limit(low=alignment.MIN_NMI),
    ),
    "edge_overlap": Measure("Edges of the reference that the scan has, too", "1 is all of them", 2),
    "residual_mm": Measure(
        "Moved by a second search, mm", "0 is at the optimum", 2, limit=Limit(high=alignment.MAX_RESIDUAL_MM)
    ),
    "rotation_deg": Measure(
        "Rotation to the reference, degrees", "", 2, limit=Limit(high=alignment.MAX_ROTATION_DEG)
    ),
    "translation_mm": Measure("Shift to the reference, mm", "of the brain’s centre", 2),
    "volume_ratio": Measure("Volume before registration over that after", "1 for a rigid one", 2, limit=_VOLUME),
    "template_dice": Measure("Overlap with the template’s brain mask, Dice", "after registration to it", 3),
    "scale_offset": Measure("Intensity offset, units of the image", "becomes 0 when normalized"),
    "scale_scale": Measure("Intensity scale, units of the image", "becomes 1 when normalized"),
    "flags": Measure("Flags", text=True, empty="none"),
    "filename": Measure("File", text=True),
}
# What a registration is judged by, for the page to say beside its picture.
REGISTRATION = ("mask_dice", "covered", "nmi_before", "nmi_after", "edge_overlap", "residual_mm")


def quality_table(report: VisitReport) -> list[dict[str, object]]:
    """Return a row for each measure that some image has: images are few, measures many.

    Returns
    -------
    list of dict
        Fields of a `Measure`, ``limit`` as people say it, and ``cells``, one for each image: ``text``, and ``bad``
        where the number is beyond the limit.
    """
    present = dict.fromkeys(name for row in report.rows for name in row if name != "contrast")
    ordered = [*(name for name in MEASURES if name in present), *(n for n in present if n not in MEASURES)]
    table: list[dict[str, object]] = []
    for name in ordered:
        measure = MEASURES.get(name, Measure(name))
        cells = [_cell(measure, row.get(name), row.get("contrast") == report.reference) for row in report.rows]
        limit = "" if measure.limit is None else str(measure.limit)
        table.append({**measure._asdict(), "limit": limit, "cells": cells})
    return table


def registration_numbers(report: VisitReport, contrast: str) -> list[dict[str, object]]:
    """Return label, value, limit and whether it is beyond, for each number that a registration is judged by."""
    row = next((row for row in report.rows if row.get("contrast") == contrast), {})
    found = []
    for name in REGISTRATION:
        if row.get(name) is not None:
            measure = MEASURES[name]
            limit = "" if measure.limit is None else str(measure.limit)
            found.append({"label": measure.label, "limit": limit, **_cell(measure, row[name], reference=False)})
    return found


def _cell(measure: Measure, value: object, reference: bool) -> dict[str, object]:
    if value in {None, "", MISSING}:
        return {"text": measure.empty, "bad": False}
    limit = measure.limit
    judged = limit is not None and isinstance(value, int | float) and (reference or not limit.only_reference)
    return {"text": show(value, measure.digits), "bad": judged and not limit.passes(float(value))}
