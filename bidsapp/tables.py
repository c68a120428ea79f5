"""The numbers of the group level: ``group_metrics.tsv``, ``group_comparison.tsv``, and what explains them."""

from __future__ import annotations

import csv
import logging
import math
from typing import TYPE_CHECKING, Any

from bidsapp.bids.sink import write_json, write_tsv
from bidsapp.synthesis import axial
from bidsapp.synthesis.card import METRICS_FILE
from bidsapp.synthesis.ensemble import HISTORY_FILE
from bidsapp.synthesis.metrics import MEASURED
from bidsapp.synthesis.statistics import FEWEST, RESAMPLES, compare, interval, paired
from bidsapp.synthesis.uncertainty import INTERVAL_MEASURED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.application import Prediction
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.statistics import Interval

log = logging.getLogger(__name__)

# How far a network's error may be, as a share, from the one at its training, where both are of the same voxels:
# devices and precisions round differently.
SAME_ERROR = 1e-2
METRICS_COLUMNS = {
    "visit": "Whose image was predicted",
    "participant": "The visit's participant",
    "fold": "The fold that held the participant out; n/a where no fold knew the participant",
    "model": "What predicted it: a network, or a baseline that was fitted to the same visits",
    "steps": "Optimizer steps of its training",
    **MEASURED,
    **INTERVAL_MEASURED,
}
COMPARISON_COLUMNS = {
    "model": "The model whose images were written",
    "rival": "The model that it is compared with: floor, the best map of intensities that knows no place; forest, "
    "a random forest on the 3 x 3 x 3 voxels around each; or the baseline network",
    "n": "Participants whom both predicted without having seen them; those visits of a participant that both "
    "predicted were averaged first",
    "mae_model": "Mean over them of the model's mean absolute error, normalized units; of a CT, HU",
    "mae_rival": "The same of the rival",
    "difference": "Mean of the model's error minus the rival's, participant by participant; below 0 the model is "
    "better",
    "low": f"Lower end of the 95 % interval of the difference: percentiles of {RESAMPLES} bootstrap samples of "
    "the participants (doi:10.1214/aos/1176344552); too narrow where n is small",
    "high": "Its upper end",
    "p": f"Two-sided Wilcoxon signed-rank test of the differences, not corrected for the number of rivals; n/a of "
    f"fewer than {FEWEST} participants",
    "note": "What n does not allow to say",
}


def write_tables(out: Path, rows: Sequence[Mapping[str, Any]], comparison: Sequence[Mapping[str, Any]]) -> None:
    """Write both tables, each with a sidecar that explains its columns."""
    for name, content, columns in (
        ("group_metrics", rows, METRICS_COLUMNS),
        ("group_comparison", comparison, COMPARISON_COLUMNS),
    ):
        write_tsv(content, out / f"{name}.tsv", list(columns))
        about = {column: {"Description": text} for column, text in columns.items()}
        write_json(about, out / f"{name}.json")


def metrics_rows(bundle: Bundle, predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return one row for each visit and model: the network's first, then the baselines' on the same visit.

    Baselines were measured when the bundle was trained; a visit it did not know has none, nor has one that is
    measured on other voxels today.
    """
    recorded: dict[str, list[dict[str, str]]] = {}
    for row in read_tsv(bundle.path / METRICS_FILE):
        recorded.setdefault(row["visit"], []).append(row)
    steps = _steps(bundle)
    known = {(split.visit, split.fingerprint) for split in bundle.splits}
    rows: list[dict[str, Any]] = []
    apart = []
    for prediction in predictions:
        if prediction.agreement is None:
            continue
        pair = prediction.visit.pair
        who = {"visit": pair.visit, "participant": pair.participant}
        trained = steps.get(prediction.fold) if prediction.fold is not None else None
        mine = {"fold": prediction.fold, "model": bundle.plan.network, "steps": trained}
        rows.append({**who, **mine, **prediction.agreement, **(prediction.interval or {})})
        then = recorded.get(pair.visit, []) if (pair.visit, pair.fingerprint) in known else []
        if _comparable(then, bundle.plan.network, pair.axial_range, prediction.agreement["mae"]):
            rows += [{**who, **_baseline_row(row)} for row in then if row["network"] != bundle.plan.network]
        else:
            apart.append(pair.visit)
    if apart:
        said = "%d visits, for example %s, are not compared with the baselines, measured on other voxels"
        log.warning(said, len(apart), apart[0])
    return rows


def _comparable(
    then: Sequence[Mapping[str, str]], network: str, within: tuple[float, float] | None, error: float | None
) -> bool:
    """Return whether what was recorded of a visit is of the voxels of today: the same range, the same error."""
    if any(axial.COLUMN in row and axial.range_of(row) != within for row in then):
        return False
    errors = [_number(row["mae"]) for row in then if row["network"] == network]
    return all(
        math.isclose(before, error, rel_tol=SAME_ERROR)
        if before is not None and error is not None
        else before is error
        for before in errors
    )


def _baseline_row(row: Mapping[str, str]) -> dict[str, Any]:
    return {
        "fold": int(row["fold"]),
        "model": row["network"],
        "steps": int(row["steps"]) or None,
        **{name: _number(row.get(name)) for name in MEASURED},
    }


def _number(cell: str | None) -> float | None:
    """Return the number in a cell; bundles of earlier versions lack columns."""
    return None if cell is None or cell == "n/a" else float(cell)


def _steps(bundle: Bundle) -> dict[int, int]:
    """Return the number of steps that the training of each fold reached."""
    return {int(row["fold"]): int(row["step"]) for row in read_tsv(bundle.path / HISTORY_FILE)}


def comparison_rows(rows: Sequence[Mapping[str, Any]], models: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Compare the first model's mean absolute error with every other's, over participants.

    Parameters
    ----------
    rows : sequence of mapping
        From `metrics_rows`.
    models : sequence of str
        The one whose images were written comes first.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    list of dict
        One for each rival that predicted somebody whom the first predicted; keys of `COMPARISON_COLUMNS`.
    """
    found = []
    for rival in models[1:]:
        means = paired(rows, (models[0], rival), "mae")
        result = compare(means[models[0]], means[rival], seed)
        if result is None:
            continue
        note = None if result.p is not None else f"n too small: fewer than {FEWEST} cannot reach p < .05"
        found.append(
            {
                "model": models[0],
                "rival": rival,
                "n": result.n,
                "mae_model": result.ours,
                "mae_rival": result.theirs,
                "difference": result.difference.mean,
                "low": result.difference.low,
                "high": result.difference.high,
                "p": result.p,
                "note": note,
            }
        )
    return found


def summary(rows: Sequence[Mapping[str, Any]], models: Sequence[str], seed: int) -> dict[str, dict[str, Interval]]:
    """Return measure → model → mean over participants with its interval; what nobody has is left out.

    Only visits count of which all models that have the measure at all have it.
    """
    found: dict[str, dict[str, Interval]] = {}
    for measure in (*MEASURED, *INTERVAL_MEASURED):
        for model, values in paired(rows, models, measure).items():
            if values:
                found.setdefault(measure, {})[model] = interval(list(values.values()), seed)
    return found


def read_tsv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))
