"""Which visits a network may see."""

from pathlib import Path

import pytest

from bidsapp.admission import admit, check_asked, training_images
from bidsapp.bids.gather import gather
from bidsapp.errors import UsageError
from bidsapp.records import Scan, Visit
from bidsapp.settings import Settings
from bidsapp.synthesis.manifest import Images

from .derived import write_visit

ROBUST = {"T1w": "robust", "FLAIR": "robust"}


def asked(tmp_path, **changes):
    return Settings(tmp_path / "raw", tmp_path / "out", ("group",), **changes)


def gathered(settings, *visits):
    """Return what is gathered of visits, each given by its scale and voxel edge."""
    for number, (method, spacing) in enumerate(visits, start=1):
        scans = (Scan(Path("t1"), "T1w"), Scan(Path("flair"), "FLAIR"))
        write_visit(settings.output_dir, Visit(f"{number:02d}", "A", scans), method=method, spacing=spacing)
    return gather(settings.output_dir, settings.source, settings.target, settings.reference)


def labels(visits):
    return [visit.pair.visit for visit in visits]


@pytest.mark.parametrize(
    ("normalization", "fits"),
    [("robust", "01"), ("zscore", "02"), ("whitestripe", "03"), ("nyul", "01"), ("lsq", "01"), ("ravel", "03")],
)
def test_visits_on_another_scale_than_the_settings_are_not_learned_from(tmp_path, normalization, fits):
    settings = asked(tmp_path, normalization=normalization)
    found = gathered(settings, ("robust", 2.0), ("zscore", 2.0), ("whitestripe", 2.0))
    left = admit(found, training_images(settings, found.visits), settings.target)
    assert labels(left.visits) == [f"sub-{fits}_ses-A"]
    assert len(left.skipped) == 2
    assert left.skipped[0].hint == f"run the participant level with --normalization {normalization}"


def test_a_visit_on_another_scale_or_grid_than_the_bundle_is_refused_by_name(tmp_path):
    settings = asked(tmp_path)
    found = gathered(settings, ("whitestripe", 2.0), ("robust", 2.0), ("whitestripe", 2.2), ("whitestripe", 2.05))
    methods = {"T1w": "whitestripe", "FLAIR": "whitestripe"}
    left = admit(found, Images("ravel", "T1w", methods, ((2.0,) * 3,) * 2), "FLAIR")
    assert labels(left.visits) == ["sub-01_ses-A", "sub-04_ses-A"]
    assert [(skip.visit, skip.reason) for skip in left.skipped] == [
        ("sub-02_ses-A", "T1w is on the intensity scale robust, not whitestripe"),
        ("sub-03_ses-A", "its voxels are 2.2 × 2.2 × 2.2 mm, those that were learned from 2 × 2 × 2 mm"),
    ]
    assert left.skipped[0].hint == "run the participant level with --normalization ravel"


def test_nothing_that_fits_is_an_error(tmp_path):
    settings = asked(tmp_path, normalization="zscore")
    found = gathered(settings, ("robust", 2.0))
    with pytest.raises(
        UsageError, match="sub-01_ses-A: T1w is on the intensity scale robust, not zscore"
    ) as raised:
        admit(found, training_images(settings, found.visits), settings.target)
    assert raised.value.hint == "run the participant level with --normalization zscore"


def test_a_target_on_another_scale_costs_only_itself(tmp_path):
    settings = asked(tmp_path)
    found = gathered(settings, ("robust", 2.0), ("robust", 2.0))
    sidecar = settings.output_dir / "sub-02/ses-A/anat/sub-02_ses-A_space-T1w_desc-normalized_FLAIR.json"
    sidecar.write_text(sidecar.read_text().replace('"robust"', '"zscore"'))
    found = gather(settings.output_dir, ("T1w",), "FLAIR", "T1w")
    left = admit(found, training_images(settings, found.visits), "FLAIR")
    assert [visit.pair.target is None for visit in left.visits] == [False, True]
    assert [skip.reason for skip in left.dropped] == [
        "not learned from or compared with: FLAIR is on the intensity scale zscore, not robust"
    ]


def test_images_of_a_training(tmp_path, caplog):
    settings = asked(tmp_path)
    found = gathered(settings, ("robust", 1.0), ("robust", 3.0), ("zscore", 5.0))
    images = training_images(settings, found.visits)
    assert images == Images("robust", "T1w", ROBUST, ((1.0,) * 3, (3.0,) * 3))
    assert "1 × 1 × 1 to 3 × 3 × 3 mm" in caplog.text


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"normalization": "zscore"}, "--normalization ravel"),
        ({"normalization": "nyul"}, "--normalization ravel"),
        ({"normalization": "ravel", "reference": "T2w"}, "--reference T1w"),
    ],
)
def test_a_bundle_that_reads_other_images_than_are_asked_for(tmp_path, changes, hint):
    images = Images("ravel", "T1w", {"T1w": "whitestripe", "FLAIR": "whitestripe"}, ((1.0,) * 3,) * 2)
    with pytest.raises(UsageError) as raised:
        check_asked(asked(tmp_path, **changes), images, "bundle")
    assert hint in raised.value.hint
    for normalization in ("ravel", "whitestripe"):  # a bundle brings the scale of its cohort
        check_asked(asked(tmp_path, normalization=normalization), images, "bundle")


def test_a_visit_that_lacks_a_source_counts_for_the_grid_and_is_admitted(tmp_path):
    settings = asked(tmp_path, source=("T1w", "T2w"), allow_missing_source=True)
    gathered(settings, ("robust", 2.0), ("zscore", 2.0))
    found = gather(settings.output_dir, settings.source, "FLAIR", "T1w", may_miss=True)
    images = training_images(settings, found.visits)
    assert images == Images("robust", "T1w", {**ROBUST, "T2w": "robust"}, ((2.0,) * 3,) * 2)
    left = admit(found, images, "FLAIR")
    assert labels(left.visits) == ["sub-01_ses-A"]
    assert [skip.reason for skip in left.skipped] == ["T1w is on the intensity scale zscore, not robust"]
