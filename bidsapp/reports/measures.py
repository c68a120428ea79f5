"""Every measure of every model: over participants with intervals, and of each participant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bidsapp.reports.pages import show
from bidsapp.synthesis.statistics import common_visits, paired

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bidsapp.reports.records import GroupReport
    from bidsapp.synthesis.statistics import Interval

# Name, heading, decimals where they do not depend on the units of errors, and which way is better.
MEASURES: tuple[tuple[str, str, int | None, str], ...] = (
    ("mae", "MAE", None, "lower"),
    ("rmse", "RMSE", None, "lower"),
    ("psnr", "PSNR, dB", 2, "higher"),
    ("ssim", "SSIM", 3, "higher"),
    ("ms_ssim", "MS-SSIM", 3, "higher"),
    ("ncc", "Pearson’s r", 3, "higher"),
    ("sharpness", "Sharpness", 3, "nearer to 1"),
    ("mae_fluid", "MAE in fluid", None, "lower"),
    ("mae_grey", "MAE in grey matter", None, "lower"),
    ("mae_white", "MAE in white matter", None, "lower"),
    ("mae_head", "MAE in the head, without air", None, "lower"),
    ("mae_soft", "MAE in soft tissue", None, "lower"),
    ("mae_bone", "MAE in bone", None, "lower"),
    ("mae_air", "MAE in air", None, "lower"),
    ("mean_air", "Mean HU of air", None, "nearer to −1000"),
    ("dice_dark", "Dice, darkest class", 3, "higher"),
    ("dice_middle", "Dice, middle class", 3, "higher"),
    ("dice_bright", "Dice, brightest class", 3, "higher"),
    ("coverage", "Covered by the 90 % interval", 3, "nearer to 0.9"),
    ("interval_width", "Median width of that interval", None, "lower"),
    ("width_error_r", "Pearson’s r of its width and the error", 3, "higher"),
)
# The tables of more participants are for `group_metrics.tsv`, not for a page.
MOST_TABLES = 50


def summary_table(report: GroupReport) -> dict[str, object]:
    """Return a row for each measure that anybody has: mean and interval of each model.

    Returns
    -------
    dict
        ``models``, a list of name and number of participants whose mean absolute error is known, and ``rows``,
        none where nothing was measured.
    """
    counts = {model: found.n for model, found in report.summary.get("mae", {}).items()}
    rows = [
        {
            "measure": heading,
            "better": better,
            "cells": [
                _cell(report.summary[name].get(model), digits or report.digits, counts.get(model, 0))
                for model in report.columns
            ],
        }
        for name, heading, digits, better in MEASURES
        if name in report.summary
    ]
    return {"models": [(model, counts.get(model, 0)) for model in report.columns], "rows": rows}


def participant_tables(report: GroupReport) -> list[dict[str, object]]:
    """Return a table for each participant: a row for each measure that anybody has, a column for each model.

    The visits of a participant are averaged that all models predicted which know the participant at all. There are
    no more than `MOST_TABLES`, of the first participants.
    """
    people: dict[str, list[Mapping[str, str | float | None]]] = {}
    for row in report.rows:
        if row.get("participant"):
            people.setdefault(str(row["participant"]), []).append(row)

    def shown(rows: Sequence[Mapping[str, str | float | None]], name: str, digits: int | None) -> list[str]:
        means = paired(rows, report.columns, name).values()
        return [show(next(iter(found.values()), None), digits or report.digits) for found in means]

    return [
        {
            "participant": participant,
            "visits": len(common_visits(rows, report.columns, "mae")),
            "rows": [
                (heading, shown(rows, name, digits))
                for name, heading, digits, _ in MEASURES
                if name in report.summary
            ],
        }
        for participant, rows in list(people.items())[:MOST_TABLES]
    ]


def _cell(found: Interval | None, digits: int, usual: int) -> tuple[str, str]:
    """Return a mean; its interval, which one participant has not, and of how many it is if not of the usual."""
    if found is None:
        return show(None), ""
    said = []
    if found.low is not None and found.high is not None:
        said.append(f"{show(found.low, digits)} … {show(found.high, digits)}")
    if found.n != usual:
        said.append(f"n = {found.n}")
    return show(found.mean, digits), ", ".join(said)
