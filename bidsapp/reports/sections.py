"""The drawings of the group report: trainings, errors, intervals, verdicts."""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import TYPE_CHECKING

from bidsapp.reports.curves import COLOURS, Curve, chart
from bidsapp.reports.measures import MEASURES
from bidsapp.reports.records import Drawing
from bidsapp.reports.strips import Strip, strips
from bidsapp.synthesis.statistics import paired

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bidsapp.reports.records import GroupReport

LABELS = ("trust", "caution", "reject")
# More thin lines than these make a cloud, and cost bytes.
MOST_LINES = 60


def trainings(report: GroupReport) -> list[Drawing]:
    """Return drawings of the course of the trainings and of the range test, each with the names of its lines."""
    return [drawn for drawn in (_losses(report), _range_test(report)) if drawn]


def _losses(report: GroupReport) -> Drawing | None:
    if not report.history:
        return None
    curves = []
    for number, (name, points) in enumerate(report.history.items()):
        curves.append(Curve(name, points, number, "thin"))
        curves.append(Curve(f"{name}, running median", _running_median(points), number))
    names = list(report.history)
    return Drawing(
        "Loss of each fold",
        chart(curves, "optimizer step", "training loss", "Training loss over steps"),
        "Bold: the running median of a tenth of the steps. A curve that is level at its end would gain little "
        "from more time.",
        names if 1 < len(names) <= COLOURS else (),
    )


def _range_test(report: GroupReport) -> Drawing | None:
    if not report.rates:
        return None
    chosen = report.plan.get("learning_rate")
    rates, losses, smooth = ([row[name] for row in report.rates] for name in ("learning_rate", "loss", "smoothed"))
    lines = [
        Curve("loss", list(zip(rates, losses, strict=True)), 0, "thin"),
        Curve("smoothed", list(zip(rates, smooth, strict=True)), 0),
    ]
    # Where it ends the loss has left all bounds, and would flatten the rest.
    limits = rates[0], rates[-1], 0.0, 1.5 * max(smooth[: len(smooth) // 2 + 1])
    upright = chosen if isinstance(chosen, float) else None
    axes = "learning rate", "training loss", "Loss over learning rate"
    return Drawing(
        "Learning rate range test",
        chart(lines, *axes, limits=limits, logarithmic=True, upright=upright),
        "The rate rises from step to step. Upright: the peak rate that was taken, a tenth of the one at which the "
        "smoothed loss (bold) is least.",
    )


def _running_median(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the median over a window of a tenth of the points; single steps are noisy.

    Beyond the ends they are mirrored: to repeat the last one would make it the median.
    """
    from scipy.ndimage import median_filter

    if not points:
        return []
    smooth = median_filter([loss for _, loss in points], size=max(len(points) // 10, 1), mode="reflect")
    return [(step, float(loss)) for (step, _), loss in zip(points, smooth, strict=True)]


def errors(report: GroupReport, wanted: Sequence[str] = ("mae", "psnr", "ssim")) -> list[Drawing]:
    """Return drawings of measures: a line for each model, a dot for each participant, the mean's interval."""
    drawn: list[Drawing] = []
    for name, heading, _, better in MEASURES:
        if name not in wanted or name not in report.summary:
            continue
        rows = []
        for model, people in paired(report.rows, report.columns, name).items():
            found = report.summary[name].get(model)
            mean = (found.mean, found.low, found.high) if found else None
            rows.append(Strip(model, people, mean=mean))
        units = f", {report.units}" if name == "mae" else ""
        drawn.append(Drawing(f"{heading}{units}", strips(rows, heading), f"{better} is better"))
    return drawn


def coverage(report: GroupReport) -> dict[str, object]:
    """Return the calibration plot of the intervals, and a table of the means; empty where nothing is known."""
    if not report.coverage:
        return {}
    people = list(report.coverage.items())[:MOST_LINES]
    means = [fmean(shares) for shares in zip(*report.coverage.values(), strict=True)]
    curves = [Curve("as promised", [(0.0, 0.0), (1.0, 1.0)], 0, "dashed")]
    curves += [Curve(name, _with_ends(report.levels, shares), 1, "thin") for name, shares in people]
    curves.append(Curve("mean over participants", _with_ends(report.levels, means), 1))
    rows = [
        (f"{100 * level:g} %", f"{100 * mean:.1f} %", f"{100 * min(shares):.1f} … {100 * max(shares):.1f} %")
        for level, mean, shares in zip(
            report.levels, means, zip(*report.coverage.values(), strict=True), strict=True
        )
        if round(100 * level) in {50, 80, 90, 95}
    ]
    said = "Share of voxels covered over the share promised"
    return {
        "drawing": chart(curves, "promised share", "covered share", said, limits=(0.0, 1.0, 0.0, 1.0)),
        "rows": rows,
        "people": len(report.coverage),
        "drawn": len(people),
    }


def _with_ends(levels: Sequence[float], shares: Sequence[float]) -> list[tuple[float, float]]:
    """Return a curve from nothing to everything: no interval covers nothing, an infinite one all."""
    return [(0.0, 0.0), *zip(levels, shares, strict=True), (1.0, 1.0)]


def verdicts(report: GroupReport) -> dict[str, object]:
    """Return how many images got each verdict, and a drawing of the checks' scores; empty where there is none."""
    judged = [item for item in report.predictions if item.get("verdict")]
    if not judged:
        return {}
    counts = Counter(str(item["verdict"]) for item in judged)
    found: dict[str, dict[str, float]] = {}
    for item in judged:
        for name, score in _scores(item).items():
            found.setdefault(name.replace(":", ", "), {})[str(item["visit"])] = score
    rows = [_scored(name, found[name]) for name in sorted(found)]
    said = "Scores of each check; above 1 is a reason for caution, above 2 to reject"
    shares = [(label, counts[label], round(100 * counts[label] / len(judged), 1)) for label in LABELS]
    return {"counts": shares, "drawing": strips(rows, said, limits=(1.0, 2.0))}


def _scored(name: str, values: Mapping[str, float]) -> Strip:
    return Strip(name, values, frozenset(visit for visit, score in values.items() if score > 1))


def _scores(item: Mapping[str, object]) -> Mapping[str, float]:
    scores = item.get("scores")
    return scores if isinstance(scores, dict) else {}
