"""A dry run of the group level."""

from dataclasses import replace
from pathlib import Path

import pytest

from bidsapp import group, preview
from bidsapp.bids.gather import gather
from bidsapp.errors import DataError, NoInputError
from bidsapp.preview import show_bundle
from bidsapp.records import Pair, Scan, Visit
from bidsapp.resources import Grant
from bidsapp.settings import Settings
from bidsapp.synthesis.bundle import Bundle, Split
from bidsapp.synthesis.manifest import Images
from bidsapp.synthesis.plan import make_plan

from .derived import CALIBRATION, SCALE, write_visit

GRANT = Grant(1, 4.0, 0, ())
PLAN = make_plan("unet", ("T1w",), "FLAIR", minutes=1, max_steps=1, precision="32-true", seed=0, patch=16)

KNOWN_TO_ALL = Pair("sub-08_ses-A", "sub-08", (), Path("mask"), fingerprint="08A")


@pytest.fixture
def settings(tmp_path):
    """Settings for a dry run on derivatives of two participants of two sessions each."""
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("group",), device="cpu", omp_nthreads=1, dry_run=True)
    scans = (Scan(Path("t1"), "T1w"), Scan(Path("flair"), "FLAIR"))
    for subject in ("01", "02"):
        for session in ("A", "B"):
            write_visit(settings.output_dir, Visit(subject, session, scans), sha256=f"{subject}{session}")
    return settings


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_dry_run_shows_the_plan_and_every_visit_and_writes_nothing(settings, capsys):
    scans = (Scan(Path("t1"), "T1w"), Scan(Path("flair"), "FLAIR"))
    write_visit(settings.output_dir, Visit("03", "A", scans[:1]), sha256="03A")
    write_visit(settings.output_dir, Visit("04", "A", scans), "turned", sha256="04A")
    write_visit(settings.output_dir, Visit("05", "A", scans[1:] + scans[:1]), method="zscore", sha256="05A")
    asked = replace(settings, max_steps=7, lr="auto", plan=("patch=16", "batch=3"))
    before = files(settings.output_dir)
    statuses = group.run(asked, GRANT)
    assert files(settings.output_dir) == before
    assert [(s.visit, s.state) for s in statuses if s.state != "selected"] == [("sub-05_ses-A", "skipped")]
    assert len(statuses) == 7
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for row in (
        ["patch", "16,16,16", "32,32,32"],
        ["batch", "3", "2"],
        ["max_steps", "7", "7"],
        ["learning_rate", "auto:", "by", "a", "range", "test", "0.001"],
        ["0", "2", "visits", "sub-01"],
    ):
        assert row in lines
    (learned,) = [line for line in lines if line[:1] == ["sub-01_ses-A"]]
    assert learned == ["sub-01_ses-A", "learned", "from,", "predicted", "fold", "0", "–"]
    (without,) = [" ".join(line) for line in lines if line[:1] == ["sub-03_ses-A"]]
    assert without == "sub-03_ses-A predicted mean of all folds no target"
    (doubted,) = [" ".join(line) for line in lines if line[:1] == ["sub-04_ses-A"]]
    assert "FLAIR not learned from: turned" in doubted
    (left_out,) = [" ".join(line) for line in lines if line[:1] == ["sub-05_ses-A"]]
    assert "left out" in left_out
    assert "intensity scale zscore" in left_out


@pytest.mark.parametrize("trained", [False, True])
def test_a_dry_run_says_which_bundle_would_be_applied(settings, capsys, trained):
    gathered = gather(settings.output_dir, ("T1w",), "FLAIR", "T1w")
    splits = (Split("sub-01_ses-A", "sub-01", 1, True, "01A"), Split("sub-09", "sub-09", 0, True, "09"))
    images = Images("robust", "T1w", {"T1w": "robust", "FLAIR": "robust"}, ((2.0,) * 3,) * 2)
    bundle = Bundle(Path("models/b"), PLAN, images, SCALE, splits, CALIBRATION, "0", "k", "1")
    show_bundle(gathered, bundle, [visit.pair for visit in gathered.visits], trained=trained)
    out = capsys.readouterr().out
    assert ("given; nothing is trained" in " ".join(out.split())) is not trained
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert f"sub-01_ses-A {'learned from, ' * trained}predicted fold 1 –" in rows
    assert "sub-01_ses-B predicted fold 1 –" in rows
    assert "sub-02_ses-A predicted mean of all folds –" in rows


def test_a_dry_run_says_whom_the_networks_have_seen_that_are_trained_further(settings, capsys, monkeypatch):
    t1w = (Scan(Path("t1"), "T1w"),)
    for subject in ("07", "08"):
        write_visit(settings.output_dir, Visit(subject, "A", t1w), sha256=f"{subject}A")
    splits = (Split("sub-9_ses-A", "sub-9", 0, True, "07A"), Split("sub-9", "sub-9", 1, True, "x"))
    images = Images("robust", "T1w", {"T1w": "robust", "FLAIR": "robust"}, ((2.0,) * 3,) * 2)
    unseen = (Split("sub-8", "sub-8", None, True, "08A"),)
    parent = Bundle(Path("models/b"), PLAN, images, SCALE, splits, CALIBRATION, "0", "k", "1", earlier=unseen)
    monkeypatch.setattr(group, "named_bundle", lambda _, path: parent if path else None)
    group.run(replace(settings, init_from=parent.path, max_steps=1), GRANT)
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "sub-01_ses-A learned from, predicted fold 0 –" in rows
    assert "sub-07_ses-A predicted fold 0 no target" in rows
    assert any(row.startswith("sub-08_ses-A not predicted none: every network has seen them") for row in rows)
    show_bundle(gather(settings.output_dir, ("T1w",), "FLAIR", "T1w"), parent, [KNOWN_TO_ALL], trained=False)
    assert "sub-08_ses-A not predicted none: every network" in " ".join(capsys.readouterr().out.split())


def test_a_bundle_of_these_visits_is_shown_and_plans_that_began_are_kept(settings, monkeypatch):
    monkeypatch.setattr(preview, "find_bundle", lambda path, key: (path, key))
    shown = []
    monkeypatch.setattr(preview, "show_bundle", lambda *given, trained: shown.append((given[1], trained)))
    group.run(replace(settings, max_steps=1), GRANT)
    ((path, key), trained) = shown[0]
    assert (path.name, len(key), trained) == ("T1w-to-FLAIR_unet", 64, True)
    monkeypatch.setattr(preview, "find_bundle", lambda *_: None)
    monkeypatch.setattr(preview, "read_plans", lambda folder: (PLAN, None))
    monkeypatch.setattr(preview, "show_training", lambda *given: shown.append((given[1].plan, given[3])))
    group.run(replace(settings, lr="auto"), GRANT)
    assert shown[1] == (PLAN, {})


def test_a_dry_run_ends_as_a_run_would(settings):
    with pytest.raises(NoInputError, match="training needs two or more"):
        group.run(replace(settings, participant_label=("01",)), GRANT)
    with pytest.raises(DataError, match="on which grid"):
        group.run(replace(settings, synth_space="native"), GRANT)
