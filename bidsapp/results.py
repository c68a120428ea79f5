"""What the group level leaves to read: the table of errors, beside the baselines', and the group report."""

from __future__ import annotations

import csv
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bidsapp import __version__
from bidsapp.bids import names
from bidsapp.bids.sink import write_json, write_tsv
from bidsapp.console import print_table
from bidsapp.reports.figures import training_figure
from bidsapp.reports.group import write_group_report
from bidsapp.reports.records import Figure, GroupReport
from bidsapp.synthesis.ensemble import HISTORY_FILE, METRICS_FILE
from bidsapp.synthesis.metrics import MEASURED
from bidsapp.synthesis.plan import plan_to_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bidsapp.application import Prediction
    from bidsapp.bids.gather import Gathered
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle

METRICS = ("mae", "psnr", "ssim")  # those that are printed
MEASURES = tuple(MEASURED)
COHORT_SCALES = {
    "nyul": "Intensities were brought to the landmarks of the cohort (Nyúl and Udupa 1999, "
    "doi:10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M; Nyúl et al. 2000, "
    "doi:10.1109/42.836373). ",
    "lsq": "Each image was multiplied by the factor that brings its means of fluid, grey and white matter nearest "
    "to the cohort's, by least squares (Reinhold et al. 2019, doi:10.1117/12.2513089). ",
    "ravel": "What fluid shares across the images of the cohort was taken out of white-striped images by RAVEL "
    "(Fortin et al. 2016, doi:10.1016/j.neuroimage.2016.02.036; Shinohara et al. 2014, "
    "doi:10.1016/j.nicl.2014.08.008). ",
}


def record(settings: Settings, gathered: Gathered, bundle: Bundle, predictions: Sequence[Prediction]) -> None:
    """Write ``group_metrics.tsv``, its sidecar and ``group.html``, and print the table.

    Parameters
    ----------
    settings : Settings
        Output folder.
    gathered : Gathered
        Names and reasons of the visits that were left out.
    bundle : Bundle
        What was applied; holds what the baselines reached.
    predictions : sequence of Prediction
        The synthesized images.
    """
    rows = metrics_rows(bundle, predictions)
    out = settings.output_dir
    write_tsv(rows, out / "group_metrics.tsv", ["visit", "fold", "model", "steps", *MEASURES])
    write_json(_columns(), out / "group_metrics.json")
    models = tuple(dict.fromkeys(str(row["model"]) for row in rows))
    write_group_report(_report(settings, gathered, bundle, predictions, rows, models), out / "group.html")
    columns = ["visit", *(f"{metric} {model}" for metric in METRICS for model in models)]
    title = "Agreement with the acquired image, in the brain, normalized units; PSNR in dB"
    if rows:
        print_table(title, columns, _wide(rows, models))
    print_table(
        "Reports",
        ["file"],
        [{"file": out / "group.html"}, *({"file": out / names.report(p.visit.visit)} for p in predictions)],
    )


def _columns() -> dict[str, dict[str, str]]:
    """Explain the columns of ``group_metrics.tsv``."""
    about = {
        "visit": "Whose image was predicted",
        "fold": "The fold that held the visit's participant out; n/a where no fold knew the participant",
        "model": "What predicted it: a network, or a baseline that was fitted to the same visits",
        "steps": "Optimizer steps of its training",
        **MEASURED,
    }
    return {name: {"Description": text} for name, text in about.items()}


def metrics_rows(bundle: Bundle, predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return one row for each visit and model: the network's first, then the baselines' on the same visit.

    Baselines were measured when the bundle was trained; a visit it did not know has none.
    """
    baselines = _read_tsv(bundle.path / METRICS_FILE)
    steps = _steps(bundle)
    known = {split.visit: split.fingerprint for split in bundle.splits}
    rows: list[dict[str, Any]] = []
    for prediction in predictions:
        if prediction.agreement is None:
            continue
        visit = prediction.visit.pair.visit
        trained = steps.get(prediction.fold) if prediction.fold is not None else None
        mine = {"visit": visit, "fold": prediction.fold, "model": bundle.plan.network, "steps": trained}
        rows.append({**mine, **prediction.agreement})
        if known.get(visit) == prediction.visit.pair.fingerprint:
            rows += [_baseline_row(row) for row in baselines if row["visit"] == visit]
    return rows


def _baseline_row(row: dict[str, str]) -> dict[str, Any]:
    return {
        "visit": row["visit"],
        "fold": int(row["fold"]),
        "model": row["network"],
        "steps": int(row["steps"]) or None,
        **{name: _number(row.get(name)) for name in MEASURES},
    }


def _number(cell: str | None) -> float | None:
    """Return the number in a cell; bundles of earlier versions lack columns."""
    return None if cell in {None, "n/a"} else float(cell)


def _wide(rows: Sequence[dict[str, Any]], models: Sequence[str]) -> list[dict[str, object]]:
    """Return one row for each visit, and their mean."""
    visits = dict.fromkeys(str(row["visit"]) for row in rows)
    by_key = {(row["visit"], row["model"]): row for row in rows}
    wide: list[dict[str, object]] = [
        {
            "visit": visit,
            **{f"{m} {model}": by_key.get((visit, model), {}).get(m) for m in METRICS for model in models},
        }
        for visit in visits
    ]
    mean: dict[str, object] = {"visit": "mean"}
    for column in (f"{m} {model}" for m in METRICS for model in models):
        values = [value for row in wide if isinstance(value := row[column], float)]
        mean[column] = fmean(values) if values else None
    return [*wide, mean]


def _steps(bundle: Bundle) -> dict[int, int]:
    """Return the number of steps that the training of each fold reached."""
    steps: dict[int, int] = {}
    for row in _read_tsv(bundle.path / HISTORY_FILE):
        steps[int(row["fold"])] = int(row["step"])
    return steps


def _report(
    settings: Settings,
    gathered: Gathered,
    bundle: Bundle,
    predictions: Sequence[Prediction],
    rows: Sequence[dict[str, Any]],
    models: Sequence[str],
) -> GroupReport:
    left_out = (*gathered.skipped, *gathered.dropped, *gathered.damaged)
    return GroupReport(
        version=__version__,
        plan={**plan_to_json(bundle.plan), "folds": bundle.folds, "bundle SHA-256": bundle.sha256},
        rows=rows,
        columns=models,
        predictions=[
            {"visit": p.visit.pair.visit, "path": p.path, "in_training_set": p.fold is not None, "fold": p.fold}
            for p in predictions
        ],
        skipped=[(skip.visit, skip.reason, skip.hint) for skip in left_out],
        figures=[_training_curves(bundle, settings.output_dir), *map(_figure, predictions)],
        methods=_methods(bundle),
        sloppy=settings.sloppy,
    )


def _training_curves(bundle: Bundle, out: Path) -> Figure:
    history: dict[str, list[dict[str, float]]] = {}
    for row in _read_tsv(bundle.path / HISTORY_FILE):
        step = {"step": float(row["step"]), "loss": float(row["loss"])}
        history.setdefault(f"fold {row['fold']}", []).append(step)
    path = f"models/{bundle.name}-training.svg"
    training_figure(history, out / path)
    return Figure(
        "Training", "Loss of each fold. A curve level at its end would gain little from more time.", path
    )


def _figure(prediction: Prediction) -> Figure:
    visit = prediction.visit.pair.visit
    if prediction.agreement is None:
        return Figure(visit, "Predicted; there is no acquired image to compare it with.", prediction.figure)
    return Figure(visit, "Predicted beside acquired, and their absolute difference.", prediction.figure)


def _methods(bundle: Bundle) -> str:
    plan = bundle.plan
    averaged = ", averaged over the image and its mirror image" if plan.flip_averaging else ""
    loss = {"l1": "absolute", "mse": "squared"}[plan.loss]
    limit = f"{plan.max_steps} steps" if plan.max_steps else f"{plan.minutes:.3g} minutes"
    scale = COHORT_SCALES[bundle.population.method] if bundle.population else ""
    return (
        f"{scale}A {plan.network} with {'–'.join(map(str, plan.channels))} channels was trained to predict "
        f"{plan.target} from {' and '.join(plan.sources)} on patches of {plan.patch}³ voxels, {plan.batch} at a "
        f"time, by the mean {loss} error inside the brain, with AdamW on a one-cycle schedule (peak learning rate "
        f"{plan.learning_rate:g}) for {limit} in each of {bundle.folds} folds, precision {plan.precision}, seed "
        f"{plan.seed}. Folds hold out whole participants. Predictions come from overlapping windows with Gaussian "
        f"weights{averaged}. A participant of the training set was predicted by the network that never saw that "
        "participant, any other by the mean of all."
    )


def _read_tsv(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))
