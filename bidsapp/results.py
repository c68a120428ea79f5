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
from bidsapp.reports.boilerplate import readable, record_group
from bidsapp.reports.examples import shown
from bidsapp.reports.group import QUALITY_ONLY, write_group_report
from bidsapp.reports.learning import Learning, tell
from bidsapp.reports.records import Figure, GroupReport
from bidsapp.reports.synthesized import Synthesized, write_visit_synthesized
from bidsapp.synthesis.axial import range_of
from bidsapp.synthesis.card import METRICS_FILE
from bidsapp.synthesis.plan import plan_to_json
from bidsapp.synthesis.presence import used_and_missing
from bidsapp.synthesis.rates import RATES_FILE
from bidsapp.synthesis.statistics import common_visits, paired
from bidsapp.synthesis.trust import LABELS
from bidsapp.synthesis.uncertainty import LEVEL
from bidsapp.tables import comparison_rows, metrics_rows, read_tsv, summary, write_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.application import Prediction
    from bidsapp.bids.gather import Gathered
    from bidsapp.records import Skip
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle


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
    record_group(out, bundle.name, methods_of(settings, bundle))
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
    """Return one row for each visit with the error of each model, and the mean over participants.

    The mean is that of the visits which all models predicted.
    """
    errors: dict[str, dict[str, object]] = {}
    for row in rows:
        errors.setdefault(str(row["visit"]), {"visit": row["visit"]})[str(row["model"])] = row["mae"]
    common = len(common_visits(rows, models, "mae"))
    mean: dict[str, object] = {"visit": "mean" if common == len(errors) else f"mean of the {common} that all have"}
    for model, values in paired(rows, models, "mae").items():
        mean[model] = fmean(values.values()) if values else None
    return [*errors.values(), mean]


def _report(
    settings: Settings,
    gathered: Gathered,
    bundle: Bundle,
    predictions: Sequence[Prediction],
    rows: Sequence[dict[str, Any]],
    models: Sequence[str],
) -> GroupReport:
    predicted = {p.visit.pair.visit for p in predictions}
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
        reservation=bundle.trust.reservation if bundle.trust else "",
        skipped=_told((*gathered.skipped, *gathered.damaged)),
        dropped=_told([skip for skip in gathered.dropped if skip.visit in predicted]),
        figures=_figures(predictions),
        methods=readable(methods_of(settings, bundle)),
        axial=settings.axial,
        sloppy=settings.sloppy or bundle.sloppy or any(p.visit.pair.sloppy for p in predictions),
        **of_cohort(settings, gathered),
        **of_bundle(bundle),
    )


def _told(skips: Sequence[Skip]) -> list[tuple[str, str, str]]:
    return [(skip.visit, skip.reason, skip.hint) for skip in skips]


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
        told |= {"skipped": _told(skipped), "sloppy": settings.sloppy}
        write_group_report(GroupReport(__version__, {}, (), (), why=why, **told), path)


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


def _methods(bundle: Bundle, **rendered: Any) -> str:
    """Return what was done; `rendered` is what `Learning` says of how images were written and measured."""
    people = {split.participant for split in bundle.splits}
    recorded = read_tsv(bundle.path / METRICS_FILE)
    rivals = dict.fromkeys(row["network"] for row in recorded if row["network"] != bundle.plan.network)
    return tell(
        Learning(
            bundle.plan,
            folds=bundle.folds,
            people=len(people),
            name=bundle.name,
            version=bundle.version,
            sha256=bundle.sha256,
            population=bundle.population.method if bundle.population else None,
            origin=bundle.origin,
            range_test=(bundle.path / RATES_FILE).is_file(),
            rivals=list(rivals),
            calibrated=len(bundle.calibration.participants),
            judged=bundle.trust.participants if bundle.trust else 0,
            false_alarms=bundle.trust.false_alarms if bundle.trust else 0.0,
            reservation=bundle.trust.reservation if bundle.trust else "",
            axial=range_of(recorded[0]) if recorded else None,
            **rendered,
        )
    )


def methods_of(settings: Settings, bundle: Bundle) -> str:
    """Return what the group level did with a bundle, with keys of the works that it cites."""
    return _methods(
        bundle,
        measured=settings.axial,
        trained_here=settings.model is None,
        native=settings.synth_space == "native",
        match_to=settings.match_to,
        export=settings.export,
    )
