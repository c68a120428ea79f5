"""What the group level leaves to read: the table of errors, beside the baselines', and the group report."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bidsapp import __version__
from bidsapp.bids import names
from bidsapp.console import print_table
from bidsapp.overview import of_bundle, of_cohort
from bidsapp.records import region
from bidsapp.reports.examples import shown
from bidsapp.reports.group import QUALITY_ONLY, write_group_report
from bidsapp.reports.records import Figure, GroupReport
from bidsapp.reports.synthesized import Synthesized, write_visit_synthesized
from bidsapp.synthesis.losses import PHRASES
from bidsapp.synthesis.modes import phrase
from bidsapp.synthesis.optimizer import STEPS
from bidsapp.synthesis.plan import plan_to_json
from bidsapp.synthesis.presence import used_and_missing
from bidsapp.synthesis.rates import RATES_FILE
from bidsapp.synthesis.trust import LABELS
from bidsapp.synthesis.uncertainty import LEVEL
from bidsapp.tables import comparison_rows, metrics_rows, summary, write_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.application import Prediction
    from bidsapp.bids.gather import Gathered
    from bidsapp.records import Skip
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle

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
    """Write the tables and ``group.html``, and print what matters most of them.

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
    models = tuple(dict.fromkeys(str(row["model"]) for row in rows))
    comparison = comparison_rows(rows, models, bundle.plan.seed)
    write_tables(out, rows, comparison)
    report = _report(settings, gathered, bundle, predictions, rows, models)
    means = summary(rows, models, bundle.plan.seed)
    write_group_report(replace(report, comparison=comparison, summary=means), out / "group.html")
    for p in predictions:
        write_visit_synthesized(out / names.report(p.visit.visit), _synthesized(p, report))
    judged = [p.verdict for p in predictions if p.verdict]
    if judged:
        counts = Counter(verdict["Label"] for verdict in judged)
        print_table("Verdicts", LABELS, [{label: counts[label] for label in LABELS}])
    if rows:
        title = f"Mean absolute error in {report.region}, {report.units}"
        print_table(title, ["visit", *models], _by_visit(rows, models))
    if comparison:
        title = f"Mean absolute error of {models[0]} minus that of others, over participants; 95 % interval"
        columns = ["rival", "n", "mae_model", "mae_rival", "difference", "low", "high", "p", "note"]
        print_table(title, columns, comparison)
    print_table(
        "Reports",
        ["file"],
        [{"file": out / "group.html"}, *({"file": out / names.report(p.visit.visit)} for p in predictions)],
    )


def _by_visit(rows: Sequence[dict[str, Any]], models: Sequence[str]) -> list[dict[str, object]]:
    """Return one row for each visit with the error of each model, and their mean."""
    errors: dict[str, dict[str, object]] = {}
    for row in rows:
        errors.setdefault(str(row["visit"]), {"visit": row["visit"]})[str(row["model"])] = row["mae"]
    mean: dict[str, object] = {"visit": "mean"}
    for model in models:
        values = [value for row in errors.values() if isinstance(value := row.get(model), float)]
        mean[model] = fmean(values) if values else None
    return [*errors.values(), mean]


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
            {
                "visit": p.visit.pair.visit,
                "path": p.path,
                "in_training_set": p.fold is not None,
                "fold": p.fold,
                "missing": used_and_missing(p.visit.pair, bundle.plan)[1],
                **_verdict(p.verdict),
            }
            for p in predictions
        ],
        false_alarms=bundle.trust.false_alarms if bundle.trust else None,
        skipped=[(skip.visit, skip.reason, skip.hint) for skip in left_out],
        figures=_figures(predictions),
        methods=_methods(bundle, settings.axial),
        sloppy=settings.sloppy,
        **of_cohort(settings, gathered),
        **of_bundle(bundle),
    )


def record_quality(settings: Settings, why: str, skipped: Sequence[Skip] = ()) -> None:
    """Write ``group.html`` where nothing can be predicted: the quality of what the participant level left.

    A page that tells of predictions stays.

    Parameters
    ----------
    settings : Settings
        Output folder.
    why : str
        What was lacking.
    skipped : sequence of Skip
        Visits that cannot be used.
    """
    path = settings.output_dir / "group.html"
    if path.is_file() and QUALITY_ONLY not in path.read_text(encoding="utf-8"):
        return
    told = of_cohort(settings)
    if told["quality"]:
        left_out = [(skip.visit, skip.reason, skip.hint) for skip in skipped]
        report = GroupReport(__version__, {}, (), (), why=why, skipped=left_out, sloppy=settings.sloppy, **told)
        write_group_report(report, path)


def _verdict(verdict: dict[str, Any] | None) -> dict[str, Any]:
    return (
        {name.lower(): verdict[name] for name in ("Reasons", "Scores")} | {"verdict": verdict["Label"]}
        if verdict
        else {}
    )


def _figures(predictions: Sequence[Prediction]) -> list[Figure]:
    """Return the figures of the predictions that are shown, and why each is."""
    errors = {p.visit.pair.visit: p.agreement["mae"] for p in predictions if p.agreement}
    doubts = {
        p.visit.pair.visit: max((p.verdict or {}).get("Scores", {}).values(), default=0.0)
        for p in predictions
        if not p.agreement
    }
    chosen = shown({visit: error for visit, error in errors.items() if error is not None}, doubts)
    by_visit = {p.visit.pair.visit: p for p in predictions}
    return [_figure(by_visit[visit], why) for visit, why in chosen.items()]


def _figure(prediction: Prediction, why: str = "") -> Figure:
    compared = "There is no acquired image to compare it with."
    if prediction.agreement is not None:
        compared = "Beside it the acquired image and their absolute difference."
    caption = f"Predicted, with half the width of each voxel's {100 * LEVEL:g} % interval. {compared}"
    title = f"{prediction.visit.pair.visit}: {why}" if why else prediction.visit.pair.visit
    return Figure(title, caption, prediction.figure)


def _synthesized(prediction: Prediction, report: GroupReport) -> Synthesized:
    """Return what the page of a visit says of its synthesized image."""
    verdict, fold = prediction.verdict or {}, prediction.fold
    by = "by the mean of all folds’ networks; the participant was in no training set."
    if fold is not None:
        by = f"by the network of fold {fold}, which never saw the participant."
    return Synthesized(
        image=prediction.path,
        target=str(report.plan["target"]),
        made_by=f"was predicted {by}",
        figure=_figure(prediction),
        label=verdict.get("Label", ""),
        reasons=verdict.get("Reasons", ()),
        scores=verdict.get("Scores", {}),
        agreement=prediction.agreement,
        interval=prediction.interval,
        digits=report.digits,
        units=report.units,
    )


def _methods(bundle: Bundle, axial: tuple[float, float] | None = None) -> str:
    plan = bundle.plan
    missing = ""
    if plan.sources_may_miss:
        missing = " Sources were taken from patches, never all: every choice of those left had as many patches."
    loss = PHRASES[plan.loss].format(region=f"inside {region(plan.target)}")
    averaged = ", averaged over the image and its mirror image" if plan.flip_averaging else ""
    mean = f", the weights averaged over the last steps (width {plan.averaging:g}, arXiv:2312.02696)"
    mean = mean if plan.averaging else ""
    length = {"steps": plan.max_steps, "epochs": plan.epochs, "minutes": plan.minutes}
    limit = next(f"{value:.6g} {unit}" for unit, value in length.items() if value)
    tested = ", found by a range test" if (bundle.path / RATES_FILE).is_file() else ""
    within = f", between {axial[0]:g} and {axial[1]:g} % of its height" if axial else ""
    scale = COHORT_SCALES[bundle.population.method] if bundle.population else ""
    before = bundle.origin
    started = f", starting from {before.name} {before.version} (SHA-256 {before.sha256})" if before else ""
    return (
        f"{scale}A {plan.network} with {'–'.join(map(str, plan.channels))} channels was trained to predict "
        f"{plan.target} from {' and '.join(plan.sources)} on {phrase(plan)}, "
        f"by {loss}{within}, with {STEPS[plan.optimizer]} on a one-cycle schedule (peak "
        f"learning rate {plan.learning_rate:.3g}{tested}) for {limit} in each of {bundle.folds} "
        f"folds{started}{mean}, precision {plan.precision}, seed {plan.seed}.{missing} "
        f"Folds hold out whole participants. Predictions come from overlapping windows with Gaussian weights"
        f"{averaged}. A participant of the training set was predicted by the network that never saw that "
        "participant, any other by the mean of all. A second output learned the scale of the error by the "
        f"likelihood of Laplace's distribution; the {100 * LEVEL:g} % interval is so many scales wide as covered "
        "that share of the voxels of people held out, in the mean over them (doi:10.1080/01621459.2022.2060112)."
    )
