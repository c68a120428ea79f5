"""The numbers of the group level, and how sure they are."""

import csv
import json
from dataclasses import fields

import pytest

from bidsapp import tables
from bidsapp.application import Prediction
from bidsapp.bids.gather import GatheredVisit
from bidsapp.records import Pair, Visit
from bidsapp.synthesis.metrics import MEASURED, Agreement
from bidsapp.synthesis.splits import Split
from bidsapp.tables import (
    COMPARISON_COLUMNS,
    METRICS_COLUMNS,
    comparison_rows,
    metrics_rows,
    summary,
    write_tables,
)

from .bundles import METRICS, SPLITS, small_bundle


def rows(participants):
    """Two visits each; the floor errs by .1 more than the network, and by .01 more with each participant."""
    return [
        {
            "visit": f"{participant}_ses-{session}",
            "participant": participant,
            "fold": number,
            "model": model,
            "steps": None,
            "mae": 0.2 + 0.1 * number + 0.1 * session + (model == "floor") * (0.1 + 0.01 * number),
            "ncc": None if model == "floor" else 0.9,
        }
        for number, participant in enumerate(participants)
        for session in (1, 3)
        for model in ("unet", "floor")
    ]


def test_every_measure_is_a_column_and_is_explained(tmp_path):
    assert list(MEASURED) == [field.name for field in fields(Agreement)]
    write_tables(tmp_path, rows(["sub-1"]), [])
    for name, columns in (("group_metrics", METRICS_COLUMNS), ("group_comparison", COMPARISON_COLUMNS)):
        header = (tmp_path / f"{name}.tsv").read_text().splitlines()[0].split("\t")
        about = json.loads((tmp_path / f"{name}.json").read_text())
        assert header == list(about) == list(columns)
        assert all(entry["Description"] for entry in about.values())


def test_rivals_are_compared_over_participants_not_visits(tmp_path):
    content = rows([f"sub-{n}" for n in range(6)])
    (row,) = comparison_rows(content, ["unet", "floor"], 0)
    assert (row["model"], row["rival"], row["n"], row["note"]) == ("unet", "floor", 6, None)
    assert row["mae_model"] == pytest.approx(0.65)
    assert row["difference"] == pytest.approx(-0.125)
    assert row["p"] == pytest.approx(2 / 2**6)
    assert -0.15 < row["low"] < -0.125 < row["high"] < -0.1
    write_tables(tmp_path, content, [row])
    with (tmp_path / "group_comparison.tsv").open() as file:
        (read,) = csv.DictReader(file, delimiter="\t")
    assert (read["n"], read["p"], read["note"]) == ("6", "0.03125", "n/a")


def test_only_visits_that_both_predicted_are_compared():
    """The network is better on every visit that the floor has, and has a hard one more of everybody."""
    content = [
        row for row in rows([f"sub-{n}" for n in range(6)]) if "ses-1" in row["visit"] or row["model"] == "unet"
    ]
    (row,) = comparison_rows(content, ["unet", "floor"], 0)
    assert (row["n"], row["mae_model"], row["mae_rival"]) == (6, pytest.approx(0.55), pytest.approx(0.675))
    assert (row["difference"], row["p"]) == (pytest.approx(-0.125), pytest.approx(2 / 2**6))
    found = summary(content, ["unet", "floor"], 0)
    assert [found["mae"][model].mean for model in ("unet", "floor")] == pytest.approx([0.55, 0.675])
    assert found["ncc"]["unet"].n == 6  # of it the floor has nothing to compare
    assert comparison_rows([row for row in content if "ses-3" in row["visit"]], ["unet", "floor"], 0) == []


def test_few_participants_are_said_to_be_too_few():
    (row,) = comparison_rows(rows(["sub-1", "sub-2"]), ["unet", "floor"], 0)
    assert (row["n"], row["p"]) == (2, None)
    assert row["note"] == "n too small: fewer than 6 cannot reach p < .05"
    assert comparison_rows(rows(["sub-1"]), ["unet", "nobody"], 0) == []


def test_means_of_every_measure_and_model():
    found = summary(rows(["sub-1", "sub-2"]), ["unet", "floor"], 0)
    assert found["mae"]["unet"].n == 2
    assert found["mae"]["unet"].mean == pytest.approx(0.45)
    assert found["mae"]["unet"].low == pytest.approx(0.4)
    assert list(found) == ["mae", "ncc"]
    assert list(found["ncc"]) == ["unet"]


def measured_today(tmp_path, mae, axial_range=None):
    """A prediction of `sub-02`, for which the bundles below recorded .6 of the network and .5 of the floor."""
    pair = Pair("sub-02", "sub-02", (), tmp_path, fingerprint="c" * 64, axial_range=axial_range)
    visit = GatheredVisit(Visit("02", None, ()), pair, {}, (2.0,) * 3)
    return Prediction(visit, "", "", 1, reused=False, agreement={"mae": mae})


def with_ranges(axial_range):
    head, *lines = METRICS.splitlines()
    return "\n".join((f"{head}\taxial_range", *(f"{line}\t{axial_range}" for line in lines))) + "\n"


@pytest.mark.parametrize(
    ("then", "mae", "today", "models"),
    [
        (None, 0.6, None, ["seed-resnet", "floor"]),
        (None, 0.6004, None, ["seed-resnet", "floor"]),  # another device
        (None, 0.45, (30.0, 60.0), ["seed-resnet"]),
        (None, 0.61, None, ["seed-resnet"]),  # another brain mask
        (None, None, None, ["seed-resnet"]),
        ("n/a", 0.6, None, ["seed-resnet", "floor"]),
        ("n/a", 0.6, (30.0, 60.0), ["seed-resnet"]),
        ("30.0,60.0", 0.6, (30.0, 60.0), ["seed-resnet", "floor"]),
        ("30.0,60.0", 0.6, None, ["seed-resnet"]),
    ],
)
def test_baselines_are_compared_on_the_same_voxels_only(tmp_path, then, mae, today, models, caplog):
    """`then`: the range that the bundle recorded; earlier versions recorded none."""
    extra = {"metrics.tsv": METRICS if then is None else with_ranges(then)}
    bundle = small_bundle(tmp_path / "bundle", extra=extra)
    found = metrics_rows(bundle, [measured_today(tmp_path, mae, today)])
    assert [row["model"] for row in found] == models
    comparison = comparison_rows(found, ["seed-resnet", "floor"], 0)
    assert [row["difference"] for row in comparison] == [pytest.approx(0.1, abs=1e-3)] * (len(models) - 1)
    assert caplog.text.count("other voxels") == 2 - len(models)


@pytest.mark.parametrize("place", [0, 3])
def test_a_visit_that_was_processed_twice_keeps_its_baselines(tmp_path, place):
    """Splits have a row for each T1w that it was ever made from; the older may stand before or behind."""
    splits = [*SPLITS]
    splits.insert(place, Split("sub-02", "sub-02", 1, True, "d" * 64))
    bundle = small_bundle(tmp_path / "bundle", splits=splits)
    found = metrics_rows(bundle, [measured_today(tmp_path, 0.6)])
    assert [row["model"] for row in found] == ["seed-resnet", "floor"]


def test_bundles_of_earlier_versions_lack_measures():
    row = tables._baseline_row({"fold": "1", "network": "floor", "steps": "0", "mae": "0.5", "ssim": "n/a"})
    assert (row["mae"], row["ssim"], row["rmse"], row["steps"]) == (0.5, None, None, None)
