"""What the group level prints."""

import pytest

from bidsapp.results import _by_visit

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
