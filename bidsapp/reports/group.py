"""The page of the group level."""

from __future__ import annotations

from collections import Counter
from statistics import mean, stdev
from typing import TYPE_CHECKING

from bidsapp.reports.measures import participant_tables, summary_table
from bidsapp.reports.pages import MISSING, show, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.reports.records import GroupReport

METRICS = (("mae", 3), ("psnr", 2), ("ssim", 3))  # with the decimals they are shown with


def write_group_report(report: GroupReport, path: Path) -> Path:
    """Write the page of the group level.

    Parameters
    ----------
    report : GroupReport
        What it says.
    path : Path
        The HTML file to write.

    Returns
    -------
    Path
        `path`.
    """
    return write_page(
        "group.html",
        path,
        report=report,
        title=_title(report),
        summary=_summary(report),
        table=_table(report, path.parent),
        comparison=[_rival(row) for row in report.comparison],
        measures=summary_table(report),
        participants=participant_tables(report),
        predictions=[_prediction(item, path.parent) for item in report.predictions],
        judged="" if report.false_alarms is None else f"{100 * report.false_alarms:g} %",
        doubtful=any(item.get("verdict", "trust") != "trust" for item in report.predictions),
        plan=[(name.replace("_", " "), show(value)) for name, value in report.plan.items()],
    )


def _title(report: GroupReport) -> str:
    target = report.plan.get("target")
    return f"{show(target)} from {show(report.plan.get('sources'))}" if target else "Group report"


def _summary(report: GroupReport) -> list[str]:
    """Say in sentences what happened: images, comparison with the baselines, visits left out."""
    lacking = sum(not item.get("in_training_set") for item in report.predictions)
    number = len(report.predictions)
    sentences = [
        f"{_count(number, 'image')} synthesized, {lacking} of them for participants outside the training set."
    ]
    sentences += [*_verdicts(report), *_comparison(report)]
    if report.skipped:
        sentences.append(f"{_count(len(report.skipped), 'visit')} left out; the reasons are below.")
    return sentences


def _verdicts(report: GroupReport) -> list[str]:
    """Count the verdicts, the best first."""
    counts = Counter(str(item["verdict"]) for item in report.predictions if item.get("verdict"))
    said = [f"{label} {counts[label]}" for label in ("trust", "caution", "reject") if counts[label]]
    return [f"Verdicts: {', '.join(said)}."] if said else []


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{' was' if number == 1 else 's were'}"


def _comparison(report: GroupReport) -> list[str]:
    """Compare the first model's mean error with every other's."""
    means = {model: _values(report.rows, model, "mae") for model in report.columns}
    ours, *others = report.columns or ("",)
    if not means.get(ours):
        return []
    sentence = f"Mean absolute error of {ours} on people it never saw: {mean(means[ours]):.3f}"
    for other in others:
        if means[other] and mean(means[other]) > 0:
            change = 100 * (mean(means[ours]) / mean(means[other]) - 1)
            sentence += f", {abs(change):.0f} % {'below' if change < 0 else 'above'} {other}"
    return [f"{sentence}."]


def _rival(row: Mapping[str, str | float | None]) -> dict[str, str]:
    """Write one comparison: errors to three decimals, and p, or why there is none."""
    shown = {name: show(row.get(name), 3) for name in ("mae_model", "mae_rival", "difference", "low", "high")}
    p = row.get("p")
    said = f"{p:.2g}" if isinstance(p, float) else show(row.get("note"))
    return {"rival": show(row.get("rival")), "n": show(row.get("n")), "p": said, **shown}


def _table(report: GroupReport, folder: Path) -> dict[str, object]:
    """Arrange one row for each visit and model as one row for each visit."""
    cells = {(row.get("visit"), row.get("model")): row for row in report.rows}
    visits = {str(row.get("visit")): row.get("fold") for row in report.rows}
    rows = [
        {
            "visit": visit,
            "fold": show(fold),
            "page": _page(visit, folder),
            "cells": [
                show(cells.get((visit, model), {}).get(metric), digits)
                for model in report.columns
                for metric, digits in METRICS
            ],
        }
        for visit, fold in visits.items()
    ]
    summary = [
        _mean_sd(_values(report.rows, model, metric), digits)
        for model in report.columns
        for metric, digits in METRICS
    ]
    steps = any(row.get("steps") is not None for row in report.rows)
    return {"rows": rows, "summary": summary, "folds": _folds(report), "steps": steps}


def _folds(report: GroupReport) -> list[dict[str, object]]:
    """List for each fold whose visits it held out, and how many steps each of its networks made."""
    found: dict[object, dict[str, dict[str, object]]] = {}
    for row in report.rows:
        if row.get("fold") is None:
            continue  # a bundle from elsewhere, which knows nobody here
        fold = found.setdefault(row.get("fold"), {"visits": {}, "steps": {}})
        fold["visits"][str(row.get("visit"))] = True
        if row.get("steps") is not None:
            fold["steps"][str(row.get("model"))] = row.get("steps")
    return [
        {
            "number": show(number),
            "visits": list(fold["visits"]),
            "steps": [f"{model} {show(steps)}" for model, steps in fold["steps"].items()],
        }
        for number, fold in sorted(found.items(), key=lambda item: str(item[0]))
    ]


def _prediction(item: Mapping[str, object], folder: Path) -> dict[str, object]:
    fold = item.get("fold")
    visit = str(item.get("visit"))
    missing = item.get("missing")
    by = "the mean of all folds" if fold is None else f"fold {fold}, which never saw the participant"
    return {
        "visit": visit,
        "page": _page(visit, folder),
        "trained": show(bool(item.get("in_training_set"))),
        "by": f"{by}; without {show(missing)}" if missing else by,
        "verdict": show(item.get("verdict")),
        "reasons": item.get("reasons") or (),
        "path": show(item.get("path")),
    }


def _page(visit: str, folder: Path) -> str | None:
    """Return the visit's page beside this one, if it is there."""
    name = f"{visit}.html"
    return name if (folder / name).is_file() else None


def _values(rows: Sequence[Mapping[str, str | float | None]], model: str, metric: str) -> list[float]:
    found = [row.get(metric) for row in rows if row.get("model") == model]
    return [float(value) for value in found if isinstance(value, int | float)]


def _mean_sd(values: Sequence[float], digits: int) -> tuple[str, str]:
    """Return mean and standard deviation; a single value has none."""
    return (
        f"{mean(values):.{digits}f}" if values else MISSING,
        f"{stdev(values):.{digits}f}" if len(values) > 1 else MISSING,
    )
