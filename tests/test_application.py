"""A bundle applied to visits that lack a source."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp import group, planning
from bidsapp.bids.contrasts import check_contrasts
from bidsapp.bids.gather import gather
from bidsapp.cli.parser import settings_from
from bidsapp.errors import NoInputError, UsageError
from bidsapp.records import Scan, Visit
from bidsapp.resources import Grant
from bidsapp.settings import Settings
from bidsapp.synthesis.bundle import Split, read_bundle, write_bundle
from bidsapp.synthesis.manifest import Images
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.plan import make_plan

from .bundles import small_bundle
from .derived import CALIBRATION, SCALE, write_visit

GRANT = Grant(1, 4.0, 0, ())
SOURCES = ("T1w", "T2w")


def visit_of(subject, *contrasts):
    return Visit(subject, None, tuple(Scan(Path(c), c, {"run": "1"} if c == "T1w" else {}) for c in contrasts))


@pytest.fixture
def settings(tmp_path):
    """Settings for derivatives of three visits with all contrasts, and one each without T2w and without target."""
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("group",), source=SOURCES, device="cpu")
    settings = replace(settings, omp_nthreads=1, baseline=False, sloppy=True, max_steps=2)
    for subject, contrasts in {
        "01": (*SOURCES, "FLAIR"),
        "02": (*SOURCES, "FLAIR"),
        "03": (*SOURCES, "FLAIR"),
        "04": ("T1w", "FLAIR"),
        "05": ("T1w",),
    }.items():
        write_visit(settings.output_dir, visit_of(subject, *contrasts), sha256=subject, shape=(12, 14, 16))
        for stale in settings.output_dir.glob(f"sub-{subject}/anat/*desc-synth_*"):
            stale.unlink()
    return replace(settings, allow_missing_source=True)


def sidecar_of(settings, subject):
    (path,) = (settings.output_dir / f"sub-{subject}/anat").glob("*desc-synth_FLAIR.json")
    return path.name, json.loads(path.read_text())


def models_measured(settings):
    lines = (settings.output_dir / "group_metrics.tsv").read_text().splitlines()
    return [line.split("\t")[lines[0].split("\t").index("model")] for line in lines[1:]]


def states(statuses):
    return {status.visit: (status.state, status.reason) for status in statuses}


@pytest.mark.slow
def test_visits_that_lack_a_source_are_learned_from_and_predicted(settings, tmp_path):
    statuses = group.run(settings, GRANT)
    assert [(status.visit, status.state) for status in statuses] == [(f"sub-0{n}", "done") for n in range(1, 6)]
    bundle = read_bundle(settings.output_dir / "models/T1w+T2w-to-FLAIR_unet")
    assert bundle.plan.sources_may_miss
    assert bundle.sloppy
    assert {split.visit for split in bundle.splits if split.trained_on} == {f"sub-0{n}" for n in range(1, 5)}

    name, whole = sidecar_of(settings, "01")
    assert name == "sub-01_desc-synth_FLAIR.json"  # T1w has a run, the T2w none
    assert (whole["SourceContrasts"], whole.get("MissingSourceContrasts")) == (["T1w", "T2w"], None)
    lacking_name, lacking = sidecar_of(settings, "05")
    assert lacking_name == "sub-05_run-1_desc-synth_FLAIR.json"
    assert (lacking["SourceContrasts"], lacking["MissingSourceContrasts"]) == (["T1w"], ["T2w"])
    assert lacking["Description"].startswith("SLOPPY")
    assert "FLAIR predicted from T1w, without T2w by a network" in lacking["Description"]
    assert [source.rpartition("/")[2] for source in lacking["Sources"]] == [
        "sub-05_run-1_desc-normalized_T1w.nii.gz",
        "sub-05_run-1_desc-brain_mask.nii.gz",
    ]
    assert len(lacking["InputsSHA256"]) == 2
    page = (settings.output_dir / "group.html").read_text()
    assert "without T2w" in page
    assert "Sources were taken from patches, but never all" in page

    # What was measured at the training is measured again on the same voxels, and not on those of a range.
    assert len(models_measured(settings)) == 4 * 3
    group.run(replace(settings, model=bundle.path, axial_range="30,60"), GRANT)
    assert models_measured(settings) == ["unet"] * 4
    group.run(settings, GRANT)
    assert len(models_measured(settings)) == 4 * 3

    # The pages once more, and nothing but them; what is known of each visit is told while it goes.
    image = settings.output_dir / "sub-05/anat" / lacking_name
    (settings.output_dir / "group.html").unlink()
    image.with_suffix(".nii.gz").unlink()
    told = []
    again = group.run(replace(settings, reports_only=True), GRANT, lambda *some: told.extend(some))
    expected = dict.fromkeys((f"sub-0{n}" for n in range(1, 5)), ("done", ""))
    assert {visit: said for visit, said in states(again).items() if visit != "sub-05"} == expected
    assert states(again)["sub-05"][0] == "skipped"
    assert [status.state for status in told] == ["pending"] * 5 + ["done"] * 4 + ["skipped"]
    page = (settings.output_dir / "group.html").read_text()
    reason = f"sub-05/anat/{lacking_name.removesuffix('.json')}.nii.gz is not there, or was made otherwise"
    assert page.count("sub-05/anat/sub-05") == page.count(reason) == 1
    with pytest.raises(NoInputError, match="no bundle was trained on these pairs"):
        group.run(replace(settings, reports_only=True, seed=5), GRANT)

    # The same bundle elsewhere, without the option: a visit gets a T2w, and another image.
    elsewhere = replace(settings, model=bundle.path, output_dir=tmp_path / "elsewhere", allow_missing_source=False)
    write_visit(elsewhere.output_dir, visit_of("04", "T1w"), sha256="04", shape=(12, 14, 16))
    statuses = group.run(elsewhere, GRANT)
    assert states(statuses) == {"sub-04": ("done", "")}
    fold = next(split.fold for split in bundle.splits if split.visit == "sub-04")
    assert sidecar_of(elsewhere, "04")[1]["Fold"] == fold


@pytest.mark.slow
def test_a_bundle_that_needs_all_sources_leaves_out_visits_without(settings):
    settings = replace(settings, allow_missing_source=False)
    expected = {f"sub-0{n}": ("done", "") for n in (1, 2, 3)} | dict.fromkeys(
        ("sub-04", "sub-05"), ("skipped", "no T2w")
    )
    assert states(group.run(settings, GRANT)) == expected
    bundle = settings.output_dir / "models/T1w+T2w-to-FLAIR_unet"
    assert not read_bundle(bundle).plan.sources_may_miss
    # The bundle decides, not what was asked for.
    assert states(group.run(replace(settings, model=bundle, allow_missing_source=True), GRANT)) == expected


def test_a_source_that_one_participant_has_cannot_be_learned(settings):
    for subject in ("01", "02"):
        table = settings.output_dir / f"sub-{subject}/sub-{subject}_scans.tsv"
        table.write_text("".join(line for line in table.open() if "T2w\t" not in line.partition("\t")[2]))
    assert len(gather(settings.output_dir, SOURCES, "FLAIR", "T1w").visits) == 1
    with pytest.raises(NoInputError, match=r"1 participant\(s\) have T2w and target"):
        group.run(settings, GRANT)


def test_the_option_is_part_of_what_a_training_depends_on(settings):
    assert planning.request(settings) != planning.request(replace(settings, allow_missing_source=False))


def test_a_visit_that_cannot_be_used_still_tells_whom_the_bundle_knows(settings):
    settings = replace(settings, source=("T1w",), allow_missing_source=False, output_dir=settings.work / "other")
    plan = make_plan("unet", ("T1w",), "FLAIR", minutes=1, max_steps=1, precision="32-true", seed=0)
    images = Images("robust", "T1w", dict.fromkeys(("T1w", "FLAIR"), "robust"), ((2.0,) * 3,) * 2)
    networks = [build_network(plan.network, plan.inputs, plan.channels, seed) for seed in range(2)]
    splits = [Split(f"sub-{n}", f"sub-{n}", n, True, f"known {n}") for n in range(2)]
    about = {"calibration": CALIBRATION, "training_key": "k", "version": "1", "extra": {}}
    model = write_bundle(settings.work / "bundle", plan, images, networks, SCALE, splits, **about).path

    def said_of(session):
        group.run(replace(settings, model=model), GRANT)
        (path,) = (settings.output_dir / f"sub-9/ses-{session}/anat").glob("*desc-synth_FLAIR.json")
        return json.loads(path.read_text())

    def preprocessed(session, sha256):
        visit = Visit("9", session, (Scan(Path("T1w"), "T1w"),))
        write_visit(settings.output_dir, visit, sha256=sha256, shape=(12, 14, 16))

    preprocessed("B", "new")
    stranger = said_of("B")
    assert (stranger["InTrainingSet"], stranger.get("Fold")) == (False, None)
    preprocessed("A", "known 1")
    table = settings.output_dir / "sub-9/ses-A/sub-9_ses-A_scans.tsv"
    header, row = table.read_text().splitlines()
    flags = header.split("\t").index("flags")
    cells = row.split("\t")
    table.write_text(
        f"{header}\n" + "\t".join([*cells[:flags], "brain mask too small", *cells[flags + 1 :]]) + "\n"
    )
    acquainted = said_of("B")  # the image of before was also made by the network that has seen them
    assert (acquainted["InTrainingSet"], acquainted["Fold"]) == (True, 1)


def test_images_of_sloppy_inputs_or_networks_say_so(settings):
    out = settings.output_dir.with_name("other")
    settings = replace(settings, source=("T1w",), allow_missing_source=False, output_dir=out, sloppy=False)
    for subject in ("8", "9"):
        write_visit(out, visit_of(subject, "T1w"), sha256=subject, shape=(12, 14, 16), sloppy=subject == "9")

    def said(*, sloppy_bundle, **changes):
        bundle = small_bundle(settings.work / "bundle", sloppy=sloppy_bundle)
        group.run(replace(settings, model=bundle.path, **changes), GRANT)
        found = [
            json.loads(path.read_text())["Description"].startswith("SLOPPY: ")
            for subject in ("8", "9")
            for desc in ("synth", "synthUncertainty")
            for path in (out / f"sub-{subject}/anat").glob(f"*desc-{desc}_FLAIR.json")
        ]
        return found, "A coarse trial run" in (out / "group.html").read_text()

    assert said(sloppy_bundle=False) == ([False, False, True, True], True)
    # The same networks, and images that are there: their sidecars are written anew.
    assert said(sloppy_bundle=True) == ([True] * 4, True)
    assert said(sloppy_bundle=False, participant_label=("8",)) == ([False, False, True, True], False)
    assert said(sloppy_bundle=False, sloppy=True) == ([True] * 4, True)


def test_a_visit_whose_prediction_failed_is_named_on_the_page(settings):
    out = settings.output_dir.with_name("other")
    settings = replace(settings, source=("T1w",), allow_missing_source=False, output_dir=out, sloppy=False)
    for subject in ("8", "9"):
        write_visit(out, visit_of(subject, "T1w"), sha256=subject, shape=(12, 14, 16))
    (damaged,) = (out / "sub-9/anat").glob("*desc-normalized_T1w.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)), damaged)
    statuses = group.run(replace(settings, model=small_bundle(settings.work / "bundle").path), GRANT)
    assert [(status.visit, status.state) for status in statuses] == [("sub-8", "done"), ("sub-9", "failed")]
    assert "not on the grid of its" in statuses[1].reason
    page = (out / "group.html").read_text()
    assert "1 visit was left out; the reasons are below." in page
    assert "not on the grid of its" in page
    assert '<div class="status look" role="status">' in page


def test_the_command_takes_it_from_the_bundle(settings):
    plan = make_plan("unet", SOURCES, "FLAIR", minutes=1, max_steps=1, precision="32-true", seed=0)
    images = Images("robust", "T1w", dict.fromkeys((*SOURCES, "FLAIR"), "robust"), ((2.0,) * 3,) * 2)
    words = [str(settings.bids_dir), str(settings.output_dir), "group", "--source", "T1w,T2w"]
    for may_miss in (True, False):
        plan = replace(plan, sources_may_miss=may_miss)
        network = build_network(plan.network, plan.inputs, plan.channels, 0)
        splits = [Split("sub-09", "sub-09", 0, True, "09")]
        about = {"calibration": CALIBRATION, "training_key": "k", "version": "1", "extra": {}}
        bundle = write_bundle(settings.work / "bundle", plan, images, [network], SCALE, splits, **about)
        assert settings_from([*words, "--model", str(bundle.path)]).allow_missing_source is may_miss
    assert not settings_from(words).allow_missing_source
    # Nobody has a T2w: no reason to stop where the bundle does without.
    found = {"T1w": [Path("a_T1w.nii.gz")], "T2w": [], "FLAIR": []}
    both = replace(settings, levels=("participant", "group"), model=bundle.path)
    further = replace(both, model=None, init_from=bundle.path)
    check_contrasts(further, {**found, "FLAIR": [Path("a_FLAIR.nii.gz")]}, ["a_T1w.nii.gz"])
    with pytest.raises(UsageError, match="no selected visit has a FLAIR: there is nothing to learn"):
        check_contrasts(replace(further, output_dir=settings.bids_dir), found, ["a_T1w.nii.gz"])
    check_contrasts(both, found, ["a_T1w.nii.gz"])
    with pytest.raises(UsageError, match="no selected visit has a T2w: there is nothing to predict from"):
        check_contrasts(
            replace(both, allow_missing_source=False, output_dir=settings.bids_dir), found, ["a_T1w.nii.gz"]
        )
