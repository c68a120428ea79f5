"""What the group report reads from derivatives, and the page of those from which nothing can be predicted."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bidsapp import group
from bidsapp.bids.gather import gather
from bidsapp.errors import NoInputError
from bidsapp.overview import LEVELS, of_bundle, of_cohort
from bidsapp.records import Scan, Visit
from bidsapp.resources import Grant
from bidsapp.results import record_quality
from bidsapp.settings import Settings
from bidsapp.synthesis.bundle import read_bundle
from bidsapp.synthesis.library import packaged

from .derived import write_visit

SCANS = tuple(Scan(Path(c), c, {"run": "1"} if c == "T1w" else {}) for c in ("T1w", "FLAIR"))


@pytest.fixture
def settings(tmp_path):
    """Settings for derivatives of three visits, the FLAIR of one of them flagged."""
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("group",), device="cpu", omp_nthreads=1)
    for subject, flags in (("01", ""), ("02", ""), ("03", "moved")):
        write_visit(settings.output_dir, Visit(subject, None, SCANS), flags, sha256=subject)
    return settings


def test_a_cohort_tells_quality_and_histograms_of_what_holds(settings):
    told = of_cohort(settings)
    assert [(row["visit"], row["contrast"]) for row in told["quality"]][:2] == [
        ("sub-01", "T1w"),
        ("sub-01", "FLAIR"),
    ]
    assert len(told["quality"]) == 6
    lines = {contrast: [list(part.densities) for part in parts] for contrast, parts in told["histograms"].items()}
    assert lines == {"FLAIR": [["sub-01", "sub-02"]] * 2, "T1w": [["sub-01", "sub-02", "sub-03"]] * 2}


def test_images_on_the_scale_of_a_cohort_take_the_place_of_the_normalized_ones(settings):
    gathered = gather(settings.output_dir, settings.source, settings.target, "T1w")
    nowhere = [
        replace(v, pair=replace(v.pair, target=v.pair.target and Path("nowhere.nii.gz"))) for v in gathered.visits
    ]
    told = of_cohort(settings, replace(gathered, visits=tuple(nowhere)))
    assert told["histograms"]["FLAIR"][1].densities == {}
    assert len(told["histograms"]["T1w"][1].densities) == 3


def test_images_on_two_scales_are_not_compared(settings):
    gathered = gather(settings.output_dir, settings.source, settings.target, "T1w")
    pair = gathered.visits[0].pair
    on_scale = pair.target.with_name(pair.target.name.replace("_desc-normalized_", "_desc-nyul_"))
    shutil.copy(pair.target, on_scale)
    brought = replace(gathered.visits[0], pair=replace(pair, target=on_scale))
    told = of_cohort(settings, replace(gathered, visits=(brought,)))
    assert list(told["histograms"]["FLAIR"][1].densities) == ["sub-01"]
    assert len(told["histograms"]["T1w"][1].densities) == 3  # all of them as the participant level left them


def test_a_bundle_tells_its_training_its_intervals_and_its_card():
    bundle = read_bundle(packaged()["T1w-to-FLAIR_phantom"])
    told = of_bundle(bundle)
    assert list(told["history"]) == [f"fold {n}" for n in range(bundle.folds)]
    assert told["rates"] == []
    assert told["card"].startswith("---")
    at_90 = [shares[LEVELS.index(0.9)] for shares in told["coverage"].values()]
    assert at_90 == list(bundle.calibration.held_out(0.9).values())


def test_what_cannot_be_learned_from_still_has_a_page(settings):
    page = settings.output_dir / "group.html"
    lacking = replace(settings, target="T2w")
    with pytest.raises(NoInputError):
        group.run(replace(lacking, dry_run=True), Grant(1, 4.0, 0, ()))
    assert not page.exists()
    with pytest.raises(NoInputError):
        group.run(lacking, Grant(1, 4.0, 0, ()))
    text = page.read_text(encoding="utf-8")
    assert "Nothing was predicted: " in text
    assert 'id="quality-table"' in text
    assert 'id="synthesized"' not in text


def test_a_page_of_predictions_is_kept(settings):
    page = settings.output_dir / "group.html"
    page.write_text("predictions")
    record_quality(settings, "nothing")
    assert page.read_text() == "predictions"
    page.unlink()
    for why in ("first", "second"):
        record_quality(settings, why)
        assert f"Nothing was predicted: {why}." in page.read_text(encoding="utf-8")
