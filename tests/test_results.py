"""What the group level prints."""

import pytest

from bidsapp.application import Prediction
from bidsapp.bids.gather import Gathered, GatheredVisit
from bidsapp.records import Pair, Skip, Visit
from bidsapp.results import _by_visit, _report, methods_of
from bidsapp.settings import Settings
from bidsapp.synthesis.acceptance import TrustReference

from .bundles import small_bundle

VISITS = (("sub-1_ses-1", 0.2), ("sub-1_ses-2", 0.4), ("sub-2", 0.6))


def row(visit, model, mae):
    return {"visit": visit, "participant": visit[:5], "model": model, "mae": mae}


def test_the_printed_mean_is_over_participants_and_visits_that_all_models_predicted():
    rows = [
        row(visit, model, mae + 0.1 * (model == "floor")) for visit, mae in VISITS for model in ("unet", "floor")
    ]
    *_, mean = _by_visit(rows, ("unet", "floor"))
    assert mean == {"visit": "mean", "unet": pytest.approx(0.45), "floor": pytest.approx(0.55)}
    *shown, mean = _by_visit([*rows, row("sub-1_ses-3", "unet", 5.0)], ("unet", "floor"))
    assert shown[-1] == {"visit": "sub-1_ses-3", "unet": 5.0}
    assert mean == {
        "visit": "mean of the 3 that all have",
        "unet": pytest.approx(0.45),
        "floor": pytest.approx(0.55),
    }


def test_a_predicted_visit_is_not_left_out(tmp_path):
    """`sub-2` has two reasons to be predicted otherwise; `sub-3` has another scale besides, and is left out."""
    pair = Pair("sub-2", "sub-2", (tmp_path,), tmp_path)
    visit = GatheredVisit(Visit("2", None, ()), pair, {}, (2.0,) * 3)
    dropped = [
        Skip(label, f"{what} taken as missing", "") for label in ("sub-2", "sub-3") for what in ("T2w", "PDw")
    ]
    gathered = Gathered((visit,), (Skip("sub-3", "scale", ""),), tuple(dropped), (Skip("sub-4", "damaged", ""),))
    prediction = Prediction(visit, "x.nii.gz", "x.svg", None, reused=False, agreement=None)
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("group",))
    report = _report(settings, gathered, small_bundle(tmp_path / "bundle"), [prediction], (), ())
    assert [label for label, *_ in report.skipped] == ["sub-3", "sub-4"]
    assert [label for label, *_ in report.dropped] == ["sub-2", "sub-2"]


@pytest.mark.parametrize(("errors", "reserved"), [((0.5, 0.4), True), ((0.4, 0.5), False), (None, False)])
def test_why_no_image_of_a_network_is_trusted_is_told(tmp_path, errors, reserved):
    trust = TrustReference({}, {}, 0.0, {}, 0.02, 2, 3, errors)
    bundle = small_bundle(tmp_path / "bundle", trust=trust)
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("group",))
    report = _report(settings, Gathered((), (), (), ()), bundle, [], (), ())
    assert report.reservation.endswith("its error was 0.5, that of the map 0.4") is reserved
    assert ("No image was trusted: the network is no better" in methods_of(settings, bundle)) is reserved
