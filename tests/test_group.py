"""The group level: whom it works on, and by which network."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bidsapp import application, group, planning, results
from bidsapp.bids.gather import gather
from bidsapp.cli.bundles import said_by
from bidsapp.cli.parser import settings_from
from bidsapp.cohort import scale
from bidsapp.errors import NoInputError, UsageError
from bidsapp.records import Pair, Scan, Skip, Visit
from bidsapp.rendering import rendering_of
from bidsapp.reports.references import cited
from bidsapp.resources import Grant
from bidsapp.scales import Population
from bidsapp.settings import LOSSES, Settings
from bidsapp.synthesis import ensemble, folds, rates
from bidsapp.synthesis.bundle import Split, read_bundle, write_bundle
from bidsapp.synthesis.folds import Fold
from bidsapp.synthesis.losses import PHRASES
from bidsapp.synthesis.manifest import Images
from bidsapp.synthesis.metrics import MEASURED
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.plan import make_plan
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import make_fabric

from .derived import CALIBRATION, SCALE, write_visit

GRANT = Grant(1, 4.0, 0, ())
PLAN = make_plan("unet", ("T1w",), "FLAIR", minutes=1, max_steps=1, precision="32-true", seed=0, patch=16)


@pytest.fixture
def settings(tmp_path):
    """Settings for derivatives of two participants of two sessions each."""
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("group",), device="cpu", omp_nthreads=1)
    scans = (Scan(Path("t1"), "T1w"), Scan(Path("flair"), "FLAIR"))
    for subject in ("01", "02"):
        for session in ("A", "B"):
            write_visit(settings.output_dir, Visit(subject, session, scans), sha256=f"{subject}{session}")
    return settings


@pytest.fixture
def with_bundle(settings):
    """Return a function that gives settings with a bundle, which knows ``sub-01_ses-A`` and learned nothing."""

    def with_bundle(population=None, **changes):
        said = {"normalization": "robust", "reference": "T1w", "methods": {"T1w": "robust", "FLAIR": "robust"}}
        images = Images(**{**said, "spacing_mm": ((2.0,) * 3,) * 2, **changes})
        network = build_network(PLAN.network, PLAN.inputs, PLAN.channels, 0)
        splits = [Split("sub-01_ses-A", "sub-01", 1, True, "01A"), Split("sub-09", "sub-09", 0, True, "09")]
        about = {
            "calibration": CALIBRATION,
            "training_key": "k",
            "version": "1",
            "extra": {},
            "population": population,
        }
        bundle = write_bundle(settings.work / "bundle", PLAN, images, [network] * 2, SCALE, splits, **about)
        return replace(settings, model=bundle.path)

    return with_bundle


@pytest.fixture
def predicted(monkeypatch):
    """Return what is predicted: visit → fold."""
    seen = {}

    def predict(settings, visit, bundle, fold, fabric):
        seen[visit.pair.visit] = fold

    monkeypatch.setattr(application, "_predict", predict)
    monkeypatch.setattr(group, "record", lambda *_: None)
    return seen


def test_labels_restrict_whom_a_bundle_is_applied_to(with_bundle, predicted):
    statuses = group.run(replace(with_bundle(), participant_label=("02",), session_label=("B",)), GRANT)
    assert predicted == {"sub-02_ses-B": None}
    assert [status.visit for status in statuses] == ["sub-02_ses-B"]


def test_a_participant_is_known_by_a_visit_that_the_labels_leave_out(with_bundle, predicted):
    group.run(replace(with_bundle(), session_label=("B",)), GRANT)
    assert predicted == {"sub-01_ses-B": 1, "sub-02_ses-B": None}


def test_participants_whom_a_killed_job_did_not_list_are_listed(settings, with_bundle, predicted):
    table = settings.output_dir / "participants.tsv"
    table.write_text("participant_id\tsite\nsub-02\tB\n")
    group.run(with_bundle(), GRANT)
    assert table.read_text() == "participant_id\tsite\nsub-01\tn/a\nsub-02\tB\n"


def test_labels_restrict_whom_a_training_learns_from(settings, with_bundle, predicted, monkeypatch):
    given = []
    bundle = read_bundle(with_bundle().model)
    monkeypatch.setattr(group, "_trained", lambda settings, *rest: given.append(rest) or bundle)
    group.run(replace(settings, participant_label=("01",), session_label=("A",)), GRANT)
    pairs, everyone, images, *_ = given[0]
    assert [pair.visit for pair in pairs] == ["sub-01_ses-A"]
    assert len(everyone) == 4
    assert images.spacing_mm == ((2.0, 2.0, 2.0), (2.0, 2.0, 2.0))


def test_a_visit_on_another_scale_than_the_bundles_is_skipped(with_bundle, predicted):
    settings = with_bundle()
    for name in ("T1w", "space-T1w_FLAIR"):
        *space, contrast = name.split("_")
        stem = "_".join(["sub-02_ses-B", *space, "desc-normalized", contrast])
        sidecar = settings.output_dir / f"sub-02/ses-B/anat/{stem}.json"
        sidecar.write_text(sidecar.read_text().replace('"robust"', '"zscore"'))
    statuses = group.run(settings, GRANT)
    assert len(predicted) == 3
    (skipped,) = [status for status in statuses if status.state == "skipped"]
    assert (skipped.visit, skipped.hint) == (
        "sub-02_ses-B",
        "run the participant level with --normalization robust",
    )


def test_a_visit_that_cannot_be_brought_to_the_scale_of_the_cohort_is_named(
    with_bundle, predicted, monkeypatch, caplog
):
    settings = with_bundle(Population("nyul", {"T1w": np.ones(3)}))
    lost = Skip("sub-01_ses-A", "cannot be read", "do it again")
    monkeypatch.setattr(scale, "apply_population", lambda settings, visits, population: (visits[1:], [lost]))
    statuses = group.run(settings, GRANT)
    assert len(predicted) == 3
    assert "sub-01_ses-A: cannot be read (do it again)" in caplog.messages
    assert [status.visit for status in statuses if status.state == "failed"] == ["sub-01_ses-A"]


def test_the_page_of_a_run_without_predictions_lists_damaged_visits(settings, monkeypatch):
    for session in "AB":
        (settings.output_dir / f"sub-02/ses-{session}/sub-02_ses-{session}_scans.tsv").unlink()
    told = []
    monkeypatch.setattr(group, "record_quality", lambda _, why, unusable: told.extend(s.visit for s in unusable))
    with pytest.raises(NoInputError, match="1 participant"):
        group.run(replace(settings, max_steps=1), GRANT)
    assert told == ["sub-02_ses-A", "sub-02_ses-B"]


def test_a_bundle_of_another_scale_is_refused_before_any_visit_is_looked_at(with_bundle, predicted):
    methods = {"T1w": "whitestripe", "FLAIR": "whitestripe"}
    settings = with_bundle(normalization="ravel", methods=methods)
    with pytest.raises(UsageError, match="reads images of --normalization ravel, not robust"):
        group.run(settings, GRANT)
    with pytest.raises(UsageError, match="no visit fits"):  # asked for, but the derivatives are on robust
        group.run(replace(settings, normalization="ravel"), GRANT)


def test_the_networks_of_a_bundle_are_written_for_other_software(with_bundle, predicted):
    settings = replace(with_bundle(), export="torchscript")
    group.run(settings, GRANT)
    assert len(predicted) == 4
    files = (settings.output_dir / "models/bundle-export").iterdir()
    assert sorted(file.name for file in files) == ["model.json", "model.pt"]


def test_the_command_takes_scale_and_reference_from_the_bundle(settings, with_bundle, tmp_path):
    methods = {"T2w": "whitestripe", "FLAIR": "whitestripe"}
    bundle = with_bundle(normalization="ravel", methods=methods).model
    words = [str(settings.bids_dir), str(settings.output_dir), "participant", "group", "--model", str(bundle)]
    taken = settings_from(words)
    assert (taken.normalization, taken.source, taken.target) == ("ravel", ("T1w",), "FLAIR")
    with pytest.raises(UsageError, match="--normalization ravel, not zscore"):
        settings_from([*words, "--normalization", "zscore"])
    with pytest.raises(UsageError, match="on the grid of the T1w, not of the T2w"):
        settings_from([*words, "--normalization", "whitestripe", "--reference", "T2w"])


@pytest.mark.parametrize(
    ("least", "greatest", "taken"),
    [
        ((2.0, 2.0, 2.0), (2.0, 2.0, 2.0), "2"),
        ((0.7999, 0.8, 0.8), (0.8, 0.8001, 0.8), "0.8"),
        ((1.0, 1.0, 1.2), (1.0, 1.0, 1.2), None),  # learned from on a native grid
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.2), None),
        ((8.0, 8.0, 8.0), (8.0, 8.0, 8.0), None),  # which --resolution refuses
    ],
)
def test_the_command_takes_the_grid_from_the_bundle(settings, with_bundle, least, greatest, taken):
    bundle = with_bundle(spacing_mm=(least, greatest)).model
    assert said_by(bundle).get("resolution") == said_by(None, bundle).get("resolution") == taken
    words = [str(settings.bids_dir), str(settings.output_dir), "participant", "group", "--model", str(bundle)]
    assert settings_from(words).resolution == (taken or Settings.resolution)
    assert settings_from([*words, "--resolution", "native"]).resolution == "native"


@pytest.mark.parametrize(
    ("method", "doi"),
    [("nyul", "10.1109/42.836373"), ("lsq", "10.1117/12.2513089"), ("ravel", "10.1016/j.neuroimage.2016.02.036")],
)
def test_the_methods_text_cites_the_scale_of_a_cohort(with_bundle, method, doi):
    bundle = read_bundle(with_bundle(Population(method, {"T1w": np.ones(3)})).model)
    assert doi in {work.fields.get("doi") for work in cited(results._methods(bundle))}
    assert "cohort" not in results._methods(read_bundle(with_bundle().model)).partition("Folds hold out")[0]


def test_the_plan_and_the_methods_text_say_what_is_averaged(settings, with_bundle):
    settings = replace(settings, max_steps=3)
    asked = planning.plans_of(replace(settings, ema=0.05), 2, make_fabric("cpu", "32-true"))
    assert [plan.averaging for plan in asked] == [0.05, 0]
    assert planning.request(settings) != planning.request(replace(settings, ema=0.05))
    bundle = read_bundle(with_bundle().model)
    assert "averaged over the last" not in results._methods(bundle)
    assert "(width 0.05 [@karras])" in results._methods(replace(bundle, plan=replace(PLAN, averaging=0.05)))


def test_the_plan_and_the_methods_text_say_how_long_and_how_fast(settings, with_bundle):
    fabric = make_fabric("cpu", "32-true")
    asked = replace(settings, epochs=2.0, lr="0.01", augmentation="physics", sampling="error", sloppy=True)
    plan, baseline = planning.plans_of(asked, 2, fabric)
    assert (plan.augmentation, baseline.augmentation) == ("physics", "none")
    assert (plan.sampling, baseline.sampling) == ("error", "foreground")
    assert (plan.epochs, plan.max_steps, plan.learning_rate) == (2, None, 0.01)
    assert (baseline.epochs, baseline.max_steps, baseline.learning_rate) == (2, None, 1e-3)
    assert (
        len(
            {
                str(planning.request(s))
                for s in (
                    *(settings, asked, replace(asked, lr="auto")),
                    *(replace(asked, augmentation=None), replace(asked, sampling=None)),
                )
            }
        )
        == 5
    )
    bundle = read_bundle(with_bundle().model)
    text = results._methods(replace(bundle, plan=replace(plan, epochs=2.5)))
    assert "(peak learning rate 0.01) for 2.5 epochs in each of 2 folds" in text
    assert "2 at a time and, after the warm-up, more often where errors were large, by" in text
    (bundle.path / "learning_rate.tsv").touch()
    text = results._methods(bundle)  # of a plan of a minute at most
    assert "0.006, found by a range test [@rangetest]) for 1 steps or 1 minutes, whichever came first, in" in text


def test_a_range_test_is_made_on_what_the_first_fold_learns_from(settings, tmp_path, monkeypatch):
    stored = {Pair(f"v{n}", f"sub-{n}", (), Path()): n for n in range(3)}
    folds = [Fold(0, frozenset({"sub-1"})), Fold(1, frozenset({"sub-0", "sub-2"}))]
    test = rates.RangeTest((0.1, 0.2), (2.0, 1.0), (2.0, 1.0), 0.04)
    seen = []

    def find_rate(volumes, plan, fabric, weights):
        seen.append(volumes)
        return replace(plan, learning_rate=test.chosen), test

    monkeypatch.setattr(rates, "find_rate", find_rate)
    settings = replace(settings, lr="auto", max_steps=3)
    plan, baseline = planning.settled_plans(settings, stored, folds, make_fabric("cpu", "32-true"), tmp_path)
    assert seen == [[0, 2]]
    assert (plan.learning_rate, baseline.learning_rate) == (0.04, 1e-3)
    assert (tmp_path / "learning_rate.tsv").read_text() == test.to_tsv()


def test_the_plan_and_the_methods_text_say_which_loss(settings, with_bundle):
    settings = replace(settings, max_steps=3)
    fabric = make_fabric("cpu", "32-true")
    assert [plan.loss for plan in planning.plans_of(settings, 2, fabric)] == ["l1+gradient", "mse"]
    asked = planning.plans_of(replace(settings, loss="l1+ssim"), 2, fabric)
    assert [plan.loss for plan in asked] == ["l1+ssim", "mse"]  # the baseline keeps its article's
    assert planning.request(settings) != planning.request(replace(settings, loss="l1+ssim"))
    bundle = read_bundle(with_bundle().model)
    for loss in LOSSES:
        text = results._methods(replace(bundle, plan=replace(PLAN, loss=loss)))
        assert f"by {PHRASES[loss].format(region='inside the brain')}" in text
        assert "with Muon for the convolutions and AdamW" in text


def test_the_plan_and_the_methods_text_say_what_the_network_is_shown(settings, with_bundle, tmp_path):
    fabric = make_fabric("cpu", "32-true")
    volume = TrainingVolume(*[np.ones((1, 7, 9, 8), np.float16)] * 3, np.arange(9))
    stored = {Pair("v", "sub-1", (), Path()): volume}
    asked = replace(settings, max_steps=3, input_mode="slabs", slice_axis="coronal")
    folds = [Fold(0, frozenset({"sub-1"}))]
    plan, baseline = planning.settled_plans(asked, stored, folds, fabric, tmp_path)
    assert (plan.input_mode, plan.slice_axis, plan.patch) == ("slabs", "coronal", (7, 8, 5))
    assert (baseline.input_mode, baseline.slice_axis, baseline.patch) == ("patches", None, (32, 32, 32))
    assert (
        planning.settled_plans(replace(asked, slice_axis=None), stored, folds, fabric, tmp_path)[0].slice_axis
        == "axial"
    )
    requests = (settings, asked, replace(asked, slice_axis=None), replace(settings, input_mode="volumes"))
    assert len({str(planning.request(s)) for s in requests}) == 4
    bundle = read_bundle(with_bundle().model)
    text = results._methods(bundle)
    assert "on patches of 16 × 16 × 16 voxels, 2 at a time, by" in text
    assert "A 3D U-Net [@unet] of residual blocks [@resnet] (unet) with batch normalization" in text
    text = results._methods(replace(bundle, plan=replace(plan, loss="l1+ssim")))
    assert "on coronal slices with 2 neighbours on either side, 8 at a time, by" in text
    assert "A U-Net [@unet] of residual blocks [@resnet] (unet), whose kernels lie in the plane of a" in text
    assert "windows of 7² voxels" in text


def test_a_training_starts_from_a_bundle_on_its_scale_and_says_so(settings, with_bundle, monkeypatch):
    population = Population("nyul", {"T1w": np.ones(3)})
    parent = read_bundle(with_bundle(population).model)
    given, keys = {}, []

    def train_bundle(*arguments, **options):
        given.update(options, plan=arguments[4], baseline=arguments[5])
        return parent

    monkeypatch.setattr(ensemble, "train_bundle", train_bundle)
    monkeypatch.setattr(ensemble, "training_key", lambda pairs, request: keys.append(request["init_from"]) or "k")
    monkeypatch.setattr(scale, "apply_population", lambda settings, visits, population: (visits, []))
    monkeypatch.setattr(group, "apply_bundle", lambda *_: ([], []))
    monkeypatch.setattr(group, "record", lambda *_: None)
    group.run(replace(settings, init_from=parent.path, network="unet", max_steps=1), GRANT)
    assert keys == [parent.sha256]
    # Participant 01 was held out by the second network.
    assert given["start"].networks == (1, 0)
    assert given["population"].method == "nyul"
    assert given["images"] == parent.images
    assert given["plan"].learning_rate < 6e-3
    assert (given["plan"].channels, given["plan"].patch) == (PLAN.channels, PLAN.patch)
    assert (given["baseline"].network, given["baseline"].learning_rate) == ("seed-resnet", 1e-3)
    with pytest.raises(UsageError, match="predicts FLAIR from T1w"):
        group.run(replace(settings, init_from=parent.path, target="T2w"), GRANT)

    tuned = replace(parent, origin=given["start"].origin)
    assert f"starting from bundle 1 (SHA-256 {parent.sha256})" in results._methods(tuned)
    assert "starting from" not in results._methods(parent)
    (visit, *_) = gather(settings.output_dir, ("T1w",), "FLAIR", "T1w").visits
    sidecar = application._sidecar(settings, visit, tuned, 0, rendering_of(settings, visit, tuned))
    assert sidecar["Model"]["InitializedFrom"]["SHA256"] == parent.sha256


def test_images_that_are_links_are_called_by_their_names_in_the_dataset(settings, with_bundle, tmp_path):
    (visit, *_) = gather(settings.output_dir, ("T1w",), "FLAIR", "T1w").visits
    for number, file in enumerate((*visit.pair.sources, visit.pair.mask)):
        file.rename(tmp_path / f"annexed-{number}")
        file.symlink_to(tmp_path / f"annexed-{number}")
    bundle = read_bundle(with_bundle().model)
    sidecar = application._sidecar(settings, visit, bundle, None, rendering_of(settings, visit, bundle))
    anat = "bids::sub-01/ses-A/anat/sub-01_ses-A"
    assert sidecar["Sources"] == [f"{anat}_desc-normalized_T1w.nii.gz", f"{anat}_desc-brain_mask.nii.gz"]
    assert sidecar["Model"]["URI"] == f"bids::{bundle.path.relative_to(settings.output_dir)}"


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_weights(tmp_path):
    def start(out):
        options = ["--max-steps", "4", "--no-baseline", "--device", "cpu", "--omp-nthreads", "1", "--sloppy"]
        command = [sys.executable, "-m", "bidsapp", str(tmp_path / "raw"), str(out), "group", *options]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    scans = (Scan(Path("t1"), "T1w"), Scan(Path("flair"), "FLAIR"))
    for out in (killed, whole):
        for subject in ("01", "02"):
            write_visit(out, Visit(subject, None, scans), sha256=subject, shape=(12, 14, 16))
    process = start(killed)
    while not list(killed.glob("work/checkpoints/*/fold-0_unet.pt")):  # written when the first fold has ended
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not list(killed.glob("models/*/bundle.json"))
    results = [start(out).communicate()[1] for out in (killed, whole)]
    weights = [sorted((out / "models").glob("*/fold-*.safetensors")) for out in (killed, whole)]
    assert len(weights[0]) == len(weights[1]) == 2, results
    for a, b in zip(*weights, strict=True):
        assert a.read_bytes() == b.read_bytes()
    assert not list(killed.glob("work/checkpoints/*"))


def test_the_axial_range_reaches_pairs_and_asks_for_new_training(settings, with_bundle, predicted, monkeypatch):
    given = []
    bundle = read_bundle(with_bundle().model)
    monkeypatch.setattr(group, "_trained", lambda settings, pairs, *rest: given.extend(pairs) or bundle)
    narrow = replace(settings, axial_range="20,80")
    group.run(narrow, GRANT)
    assert {pair.axial_range for pair in given} == {(20.0, 80.0)}
    assert planning.request(narrow) != planning.request(settings)
    where = "between 20 and 80 % of its height"
    assert "inside the brain, between 20 and 80 % of its height: mean" in results.methods_of(narrow, bundle)
    assert results.methods_of(narrow, bundle).count(where) == 1  # the bundle does not say within what it learned
    (bundle.path / "metrics.tsv").write_text("visit\tnetwork\taxial_range\nsub-01\tunet\t20.0,80.0\n")
    told = results.methods_of(replace(settings, model=bundle.path), bundle)
    assert "neighbouring voxels inside the brain, between 20 and 80 % of its height, with" in told
    assert told.count(where) == 1  # it is applied to the whole brain


def test_a_run_for_tests_only_reaches_pairs(settings, with_bundle, predicted, monkeypatch):
    given = []
    bundle = read_bundle(with_bundle().model)
    monkeypatch.setattr(group, "_trained", lambda settings, pairs, *rest: given.append(pairs) or bundle)
    scans = (Scan(Path("t1"), "T1w"), Scan(Path("flair"), "FLAIR"))
    write_visit(settings.output_dir, Visit("02", "B", scans), sha256="02B", sloppy=True)
    for sloppy in (False, True):
        group.run(replace(settings, sloppy=sloppy), GRANT)
    assert [[pair.sloppy for pair in pairs] for pairs in given] == [[False, False, False, True], [True] * 4]


def test_folds_of_a_table_are_used_and_are_part_of_what_a_training_depends_on(settings, monkeypatch):
    table = settings.work / "folds.tsv"
    table.parent.mkdir()
    table.write_text("participant\tfold\nsub-01\t1\nsub-02\t0\n")
    given = []
    monkeypatch.setattr(ensemble, "train_bundle", lambda *arguments, **_: given.extend(arguments[3]))
    monkeypatch.setattr(group, "apply_bundle", lambda *_: ([], []))
    monkeypatch.setattr(group, "record", lambda *_: None)
    settings = replace(settings, splits=table, max_steps=1)
    first = planning.request(settings)
    group.run(settings, GRANT)
    assert [(fold.number, set(fold.held_out)) for fold in given] == [(0, {"sub-02"}), (1, {"sub-01"})]
    table.write_text("participant\tfold\nsub-01\t0\nsub-02\t1\n")
    assert planning.request(settings) != first


def test_an_image_is_measured_again_within_another_range_or_by_new_measures(settings):
    measured = {"Agreement": dict.fromkeys(MEASURED, 1.0)}
    pair = Pair("sub-01", "sub-01", (), settings.work)
    narrow = replace(pair, axial_range=(20.0, 80.0))
    assert application._measured_alike({}, pair)
    assert application._measured_alike(measured, pair)
    assert not application._measured_alike(measured, narrow)
    assert application._measured_alike({**measured, "AxialRange": [20.0, 80.0]}, narrow)
    assert not application._measured_alike({"Agreement": {"mae": 1.0}}, pair)


def test_folds_are_drawn_by_the_column_of_the_derivatives(settings, monkeypatch):
    monkeypatch.setattr(ensemble, "train_bundle", lambda *_, **__: None)
    monkeypatch.setattr(group, "apply_bundle", lambda *_: ([], []))
    monkeypatch.setattr(group, "record", lambda *_: None)
    given, keys = [], []
    monkeypatch.setattr(folds, "make_folds", lambda *_, **options: given.append(options["strata"]) or ())
    monkeypatch.setattr(ensemble, "training_key", lambda pairs, request: keys.append(request["strata"]) or "k")
    (settings.output_dir / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\nsub-02\t40\n")
    monkeypatch.setattr(planning, "plans_of", lambda *_: (PLAN, None))
    group.run(replace(settings, stratify="age"), GRANT)
    assert given == keys == [{"sub-01": "30", "sub-02": "40"}]


def test_two_runs_at_once_do_not_write_over_each_others_training_arrays(settings):
    pairs = [visit.pair for visit in gather(settings.output_dir, ("T1w",), "FLAIR", "T1w").visits][:1]

    def arrays():
        return planning.arrays_of(settings, pairs, ("mask",), 0.0, presence=False)

    with arrays() as (one, _), arrays() as (two, _):
        files = {volumes[pairs[0]].inputs.filename for volumes in (one, two)}
        assert len(files) == 2
        assert all(Path(file).is_relative_to(settings.work) for file in files)
    assert list(settings.work.iterdir()) == []
