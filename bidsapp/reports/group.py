"""The page of the group level."""

from __future__ import annotations

from collections import Counter
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from bidsapp.reports.cohort import FEWEST, OUTLYING, distributions, quality_table, read_rows, who_has_what
from bidsapp.reports.cohort_histograms import MOST_VISITS, histogram_drawings
from bidsapp.reports.inline import inlined
from bidsapp.reports.markdown import to_html
from bidsapp.reports.measures import participant_tables, summary_table
from bidsapp.reports.pages import MISSING, show, write_page
from bidsapp.reports.sections import coverage, errors, trainings, verdicts
from bidsapp.synthesis.statistics import common_visits, paired

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bidsapp.reports.records import GroupReport

# Stands in a page that tells of scans only; one that tells of predictions is not written over by it.
QUALITY_ONLY = "<!-- nothing was predicted -->"
# With the decimals they are shown with; those of errors depend on their units.
METRICS: tuple[tuple[str, int | None], ...] = (("mae", None), ("psnr", 2), ("ssim", 3))


def write_group_report(report: GroupReport, path: Path) -> Path:
    """Write the page of the group level: one file that needs no other.

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
    return write_page("group.html", path, report=report, **_content(report, path.parent))


def _content(report: GroupReport, folder: Path) -> dict[str, object]:
    """Return what the template fills in."""
    scans = read_rows(report.quality)
    pages = {page.stem: page.name for page in folder.glob("sub-*.html")}
    target = report.plan.get("target")
    content: dict[str, object] = {
        "title": _title(report),
        "summary": _summary(report),
        "contrasts": who_has_what(scans, None if target is None else str(target), pages),
        "quality": quality_table(scans, pages),
        "distributions": distributions(scans),
        "histograms": histogram_drawings(report.histograms),
        "most_histograms": MOST_VISITS,
        "trainings": trainings(report),
        "table": _table(report, pages),
        "errors": errors(report),
        "comparison": [_rival(row, report.digits) for row in report.comparison],
        "measures": summary_table(report),
        "participants": participant_tables(report),
        "people": len({row["participant"] for row in report.rows if row.get("participant")}),
        "coverage": coverage(report),
        "verdicts": verdicts(report),
        "predictions": [_prediction(item, pages) for item in report.predictions],
        "judged": "" if report.false_alarms is None else f"{100 * report.false_alarms:g} %",
        "doubtful": any(item.get("verdict", "trust") != "trust" for item in report.predictions) or _beaten(report),
        "plan": [(name.replace("_", " "), show(value)) for name, value in report.plan.items()],
        "card": to_html(report.card, below=2) if report.card else "",
        "figures": inlined(report.figures, folder),
        "outlying": OUTLYING,
        "fewest": FEWEST,
    }
    return {**content, "sections": _sections(report, content)}


def _sections(report: GroupReport, content: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Return the sections of the page: name, what its link says, whether it is there."""
    return [
        ("contrasts", "Who has what", bool(content["contrasts"]["visits"])),
        ("quality", "Quality", bool(content["quality"]["rows"])),
        ("distributions", "Distributions", bool(content["quality"]["rows"])),
        ("histograms", "Histograms", bool(content["histograms"])),
        ("folds", "Splits", bool(content["table"]["folds"])),
        ("training", "Training", bool(content["trainings"])),
        ("errors", "Errors", bool(content["errors"])),
        ("comparison", "Comparison", bool(content["comparison"])),
        ("measures", "Measures", bool(content["measures"]["rows"])),
        ("agreement", "Every visit", bool(content["table"]["rows"])),
        ("participants", "Participants", bool(content["measures"]["rows"] and content["participants"])),
        ("uncertainty", "Uncertainty", bool(content["coverage"])),
        ("verdicts", "Verdicts", bool(content["verdicts"])),
        ("synthesized", "Synthesized images", bool(content["predictions"])),
        ("dropped", "Not learned from", bool(report.dropped)),
        ("skipped", "Left out", bool(report.skipped)),
        ("plan", "Plan", bool(content["plan"])),
        ("card", "Model card", bool(content["card"])),
        ("figures", "Predictions", bool(content["figures"])),
        ("methods", "Methods", bool(report.methods)),
    ]


def _title(report: GroupReport) -> str:
    target = report.plan.get("target")
    return f"{show(target)} from {show(report.plan.get('sources'))}" if target else "Group report"


def _summary(report: GroupReport) -> list[str]:
    """Say in sentences what happened: images, comparison with the baselines, visits left out."""
    if report.why:
        return [f"Nothing was predicted: {report.why}.", *_left_out(report)]
    lacking = sum(not item.get("in_training_set") for item in report.predictions)
    number = len(report.predictions)
    sentences = [
        f"{_count(number, 'image')} synthesized, {lacking} of them for participants outside the training set."
    ]
    sentences += [*_verdicts(report), *_comparison(report)]
    return [*sentences, *_left_out(report)]


def _left_out(report: GroupReport) -> list[str]:
    """Name the dataset, and say how many visits were not used."""
    sentences = [f"Dataset: {report.dataset}."] if report.dataset else []
    if report.skipped:
        number = len({visit for visit, _, _ in report.skipped})
        sentences.append(f"{_count(number, 'visit')} left out; the reasons are below.")
    return sentences


def _verdicts(report: GroupReport) -> list[str]:
    """Count the verdicts, the best first."""
    counts = Counter(str(item["verdict"]) for item in report.predictions if item.get("verdict"))
    said = [f"{label} {counts[label]}" for label in ("trust", "caution", "reject") if counts[label]]
    return [f"Verdicts: {', '.join(said)}."] if said else []


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{' was' if number == 1 else 's were'}"


def _beaten(report: GroupReport) -> bool:
    """Return whether the first model's mean error is above any other's."""
    ours, *others = [list(found.values()) for found in paired(report.rows, report.columns, "mae").values()] or [[]]
    return bool(ours) and any(mean(theirs) < mean(ours) for theirs in others if theirs)


def _comparison(report: GroupReport) -> list[str]:
    """Compare the first model's mean error with every other's, on the visits that all of them predicted."""
    ours, *others = report.columns or ("",)
    own = paired(report.rows, (ours,), "mae")[ours]
    if not own:
        return []

    def error(people: Mapping[str, float]) -> str:
        return f"{mean(people.values()):.{report.digits}f}{' HU' if report.hounsfield else ''}"

    sentence = f"Mean absolute error of {ours} on people it never saw: {error(own)}"
    shared = paired(report.rows, report.columns, "mae")
    every, common = (len(common_visits(report.rows, models, "mae")) for models in ((ours,), report.columns))
    if 0 < common < every:
        sentence += f"; on the {common} of {every} visits that all models predicted {error(shared[ours])}"
    for other in others:
        if shared[other] and mean(shared[other].values()) > 0:
            change = 100 * (mean(shared[ours].values()) / mean(shared[other].values()) - 1)
            sentence += f", {abs(change):.0f} % {'below' if change < 0 else 'above'} {other}"
    return [f"{sentence}."]


def _rival(row: Mapping[str, str | float | None], digits: int) -> dict[str, str]:
    """Write one comparison: errors, and p, or why there is none."""
    shown = {name: show(row.get(name), digits) for name in ("mae_model", "mae_rival", "difference", "low", "high")}
    p = row.get("p")
    said = f"{p:.2g}" if isinstance(p, float) else show(row.get("note"))
    return {"rival": show(row.get("rival")), "n": show(row.get("n")), "p": said, **shown}


def _table(report: GroupReport, pages: Mapping[str, str]) -> dict[str, object]:
    """Arrange one row for each visit and model as one row for each visit."""
    cells = {(row.get("visit"), row.get("model")): row for row in report.rows}
    visits = {str(row.get("visit")): row.get("fold") for row in report.rows}
    rows = [
        {
            "visit": visit,
            "fold": show(fold),
            "page": pages.get(visit),
            "cells": [
                show(cells.get((visit, model), {}).get(metric), digits or report.digits)
                for model in report.columns
                for metric, digits in METRICS
            ],
        }
        for visit, fold in visits.items()
    ]
    means = {metric: paired(report.rows, report.columns, metric) for metric, _ in METRICS}
    summary = [
        _mean_sd(means[metric][model], digits or report.digits)
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
        fold = found.setdefault(row.get("fold"), {"visits": {}, "participants": {}, "steps": {}})
        fold["visits"][str(row.get("visit"))] = True
        fold["participants"][str(row.get("participant"))] = True
        if row.get("steps") is not None:
            fold["steps"][str(row.get("model"))] = row.get("steps")
    return [
        {
            "number": show(number),
            "visits": list(fold["visits"]),
            "participants": len(fold["participants"]),
            "steps": [f"{model} {show(steps)}" for model, steps in fold["steps"].items()],
        }
        for number, fold in sorted(found.items(), key=lambda item: str(item[0]))
    ]


def _prediction(item: Mapping[str, object], pages: Mapping[str, str]) -> dict[str, object]:
    fold = item.get("fold")
    visit = str(item.get("visit"))
    missing = item.get("missing")
    by = "the mean of all folds" if fold is None else f"fold {fold}, which never saw the participant"
    return {
        "visit": visit,
        "page": pages.get(visit),
        "trained": show(bool(item.get("in_training_set"))),
        "by": f"{by}; without {show(missing)}" if missing else by,
        "verdict": show(item.get("verdict")),
        "reasons": item.get("reasons") or (),
        "path": show(item.get("path")),
    }


def _mean_sd(people: Mapping[str, float], digits: int) -> tuple[str, str]:
    """Return mean and standard deviation over participants; one has none."""
    values = list(people.values())
    return (
        f"{mean(values):.{digits}f}" if values else MISSING,
        f"{stdev(values):.{digits}f}" if len(values) > 1 else MISSING,
    )
