"""The derivative dataset: its root, its validity, and what can be gathered from it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bidsapp import __version__
from bidsapp.bids import sink
from bidsapp.bids.dataset import dataset_name, open_derivatives
from bidsapp.bids.gather import gather
from bidsapp.bids.participants import update_participants
from bidsapp.errors import CannotCreateError, NothingSelectedError, UsageError
from bidsapp.records import Scan, Visit

from ..derived import SCALE, write_visit


@pytest.fixture
def derivatives(dataset):
    """A derivative dataset of three visits: both contrasts, a flagged FLAIR, no FLAIR."""
    settings = dataset()
    out = open_derivatives(settings)
    for subject, contrasts, flags in (("01", "both", ""), ("02", "both", "slipped"), ("03", "one", "")):
        t1w, flair = Scan(Path("t1"), "T1w", {"run": "1"}), Scan(Path("flair"), "FLAIR", {})
        scans = (t1w, flair) if contrasts == "both" else (t1w,)
        write_visit(out, Visit(subject, "A", scans), flags)
    update_participants(out)
    return out


def test_links_to_given_datasets_are_added_to_those_that_are_there(dataset, tmp_path):
    out = open_derivatives(dataset(derivatives=(f"one={tmp_path / 'a'}",)))
    open_derivatives(dataset(derivatives=(f"two={tmp_path / 'b'}",)))
    links = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]
    assert links == {"raw": "../raw", "one": "../a", "two": "../b"}


def described(out):
    return json.loads((out / "dataset_description.json").read_text())


def test_derivatives_of_another_dataset_that_is_there_are_refused(dataset, tmp_path):
    settings = dataset()
    out = open_derivatives(settings)
    before = described(out)
    shutil.copytree(settings.bids_dir, tmp_path / "other")
    open_derivatives(dataset(bids_dir=tmp_path / "other"))  # a copy, as jobs make them
    assert described(out) == before
    (tmp_path / "other/dataset_description.json").write_text('{"Name": "other heads"}')
    with pytest.raises(UsageError, match=r"derivatives of .*raw, not of .*other") as raised:
        open_derivatives(dataset(bids_dir=tmp_path / "other"))
    assert "write ../other for raw in DatasetLinks" in raised.value.hint
    open_derivatives(dataset(bids_dir=tmp_path / "other", levels=("group",)))  # which does not look at it
    assert described(out) == before


def test_a_dataset_that_moved_or_is_mounted_elsewhere_is_linked_where_it_lies(dataset, tmp_path):
    settings = dataset()
    out = open_derivatives(settings)
    (tmp_path / "mounted").symlink_to(settings.bids_dir)
    open_derivatives(dataset(bids_dir=tmp_path / "mounted"))
    assert described(out)["DatasetLinks"] == {"raw": "../raw"}
    settings.bids_dir.rename(tmp_path / "moved")
    open_derivatives(dataset(bids_dir=tmp_path / "moved"))
    assert described(out)["DatasetLinks"] == {"raw": "../moved"}
    assert described(out)["SourceDatasets"] == [{"URL": "../moved"}]


def test_every_version_that_wrote_there_is_named_once(dataset, monkeypatch):
    monkeypatch.setattr("bidsapp.bids.dataset.__version__", "0.0.1")
    out = open_derivatives(dataset())
    monkeypatch.undo()
    open_derivatives(dataset())
    open_derivatives(dataset(levels=("group",)))
    assert [(by["Name"], by["Version"]) for by in described(out)["GeneratedBy"]] == [
        ("SynthPrep", "0.0.1"),
        ("SynthPrep", __version__),
    ]


@pytest.mark.parametrize(
    ("description", "end"), [('{"Name": "heads, simulated"}', ", of heads, simulated"), ("[]", ""), ("{", "")]
)
def test_derivatives_are_named_after_their_dataset(dataset, description, end):
    settings = dataset()
    (settings.bids_dir / "dataset_description.json").write_text(description)
    name = dataset_name(open_derivatives(settings))
    assert name == f"SynthPrep: contrasts on a common grid, and synthesized ones{end}"
    assert dataset_name(settings.bids_dir / "nowhere") == ""


@pytest.mark.parametrize(("said", "licence"), [('"CC-BY-NC-4.0"', "CC-BY-NC-4.0"), ('""', None), ("[1]", None)])
def test_derivatives_have_the_licence_of_their_dataset_and_none_where_it_has_none(dataset, said, licence):
    settings = dataset()
    (settings.bids_dir / "dataset_description.json").write_text(f'{{"Name": "x", "License": {said}}}')
    assert described(open_derivatives(settings)).get("License") == licence


@pytest.mark.parametrize(("runs", "kind"), [({}, "docker"), ({"APPTAINER_CONTAINER": "/x.sif"}, "apptainer")])
def test_the_container_is_named(dataset, monkeypatch, runs, kind):
    for name, value in {"SYNTHPREP_CONTAINER": "docker", **runs}.items():
        monkeypatch.setenv(name, value)
    description = json.loads((open_derivatives(dataset()) / "dataset_description.json").read_text())
    assert description["GeneratedBy"][0]["Container"] == {"Type": kind, "Tag": __version__}


def test_the_validator_finds_no_error(derivatives, tmp_path):
    sink.write_text("", derivatives / "models/x/bundle.json")
    sink.write_text("", derivatives / "group.html")
    for name in ("metrics", "comparison"):
        for ending in ("tsv", "json"):
            sink.write_text("{}", derivatives / f"group_{name}.{ending}")
    sink.write_text("", derivatives / "logs/run/synthprep.log")
    sink.write_text("", derivatives / "work/x/y.nii")
    validator = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent)) or "bids-validator-deno"
    result = subprocess.run(
        [validator, derivatives, "--format", "json"], capture_output=True, text=True, check=False
    )
    issues = json.loads(result.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert result.returncode == 0


def test_links_are_relative_and_files_are_written_once(dataset):
    settings = dataset()
    out = open_derivatives(settings)
    content = json.loads((out / "dataset_description.json").read_text())
    assert content["DatasetLinks"] == {"raw": "../raw"}
    assert content["DatasetType"] == "derivative"
    (out / "README.md").write_text("mine")
    open_derivatives(settings)
    assert (out / "README.md").read_text() == "mine"


def test_every_desc_label_has_a_row(derivatives):
    known = {line.split("\t")[0] for line in (derivatives / "descriptions.tsv").read_text().splitlines()[1:]}
    used = {
        part
        for path in derivatives.glob("sub-*/ses-*/anat/*.nii.gz")
        for part in path.name.split("_")
        if part.startswith("desc-")
    }
    assert used <= known


def test_a_row_stays_as_its_files_do(dataset):
    open_derivatives(dataset(contrasts=("T2w",)))
    out = open_derivatives(dataset())
    ids = [line.split("\t")[0] for line in (out / "descriptions.tsv").read_text().splitlines()]
    assert ids[-2:] == ["desc-brainFLAIR", "desc-brainT2w"]
    assert len(ids) == len(set(ids))


def test_output_into_the_raw_dataset_is_refused(dataset, tmp_path):
    with pytest.raises(UsageError, match="raw dataset"):
        open_derivatives(dataset(output_dir=tmp_path / "raw"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_that_cannot_be_written(dataset, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(CannotCreateError, match="locked"):
        open_derivatives(dataset(output_dir=tmp_path / "locked/out"))


def test_output_below_a_file(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotCreateError, match="file"):
        open_derivatives(dataset(output_dir=tmp_path / "file/out"))


def test_gather(derivatives):
    gathered = gather(derivatives, ("T1w",), "FLAIR", "T1w")
    first, second, third = (visit.pair for visit in gathered.visits)
    assert (first.visit, first.participant, first.fingerprint) == ("sub-01_ses-A", "sub-01", "f" * 64)
    assert first.target_scale == SCALE
    assert first.target.name == "sub-01_ses-A_space-T1w_desc-normalized_FLAIR.nii.gz"
    assert first.target_mask.is_file()
    assert first.mask.name == "sub-01_ses-A_run-1_desc-brain_mask.nii.gz"
    assert first.mask.is_file()
    assert second.target is None
    assert third.target is None
    assert [(drop.visit, drop.reason) for drop in gathered.dropped] == [
        ("sub-02_ses-A", "FLAIR not learned from: slipped")
    ]
    assert gathered.visits[0].visit.scan("T1w").entities == {"run": "1"}


def test_gather_from_the_other_contrast_skips_what_lacks_or_flags_it(derivatives):
    gathered = gather(derivatives, ("FLAIR",), "T1w", "T1w")
    assert [visit.pair.visit for visit in gathered.visits] == ["sub-01_ses-A"]
    assert [(skip.visit, skip.reason) for skip in gathered.skipped] == [
        ("sub-02_ses-A", "FLAIR cannot be trusted: slipped"),
        ("sub-03_ses-A", "no FLAIR"),
    ]


def test_a_flagged_reference_keeps_its_visit_out_whatever_the_source(derivatives):
    table = derivatives / "sub-01/ses-A/sub-01_ses-A_scans.tsv"
    header, first, *rest = table.read_text().splitlines()
    assert first.endswith("n/a")
    table.write_text(
        "\n".join([header, first.removesuffix("n/a") + "the field of view cuts the brain", *rest]) + "\n"
    )
    for source, target in ((("T1w",), "FLAIR"), (("FLAIR",), "T2w")):
        gathered = gather(derivatives, source, target, "T1w")
        assert "sub-01_ses-A" not in [visit.pair.visit for visit in gathered.visits]
        assert ("sub-01_ses-A", "T1w cannot be trusted: the field of view cuts the brain") in [
            (skip.visit, skip.reason) for skip in gathered.skipped
        ]


def test_a_lost_table_costs_its_visit_only(derivatives):
    table = derivatives / "sub-01/ses-A/sub-01_ses-A_scans.tsv"
    table.unlink()
    gathered = gather(derivatives, ("T1w",), "FLAIR", "T1w")
    (damaged,) = gathered.damaged
    assert damaged.visit == "sub-01_ses-A"
    assert damaged.reason.startswith(f"{table}: missing or damaged")
    assert [visit.pair.visit for visit in gathered.visits] == ["sub-02_ses-A", "sub-03_ses-A"]


def rewrite_table(out, visit, change):
    table = out / f"sub-{visit}/ses-A/sub-{visit}_ses-A_scans.tsv"
    table.write_text("".join(change(line) for line in table.read_text().splitlines(keepends=True)))


def test_an_image_without_a_row_is_not_used(derivatives):
    rewrite_table(derivatives, "02", lambda line: "" if "FLAIR" in line else line)  # flagged, then not asked for
    gathered = gather(derivatives, ("T1w",), "FLAIR", "T1w")
    assert (derivatives / "sub-02/ses-A/anat/sub-02_ses-A_space-T1w_desc-normalized_FLAIR.nii.gz").is_file()
    assert [visit.pair.target is None for visit in gathered.visits] == [False, True, True]
    assert gathered.dropped == ()


def test_images_of_a_former_reference_scan_are_not_used(derivatives):
    anat = derivatives / "sub-01/ses-A/anat"
    for path in [*anat.glob("*_run-1_desc-*")]:  # the reference was run-1, and is run-2 now
        shutil.copy(path, path.with_name(path.name.replace("run-1", "run-2")))
    rewrite_table(derivatives, "01", lambda line: "" if "FLAIR" in line else line.replace("run-1", "run-2"))
    pair = gather(derivatives, ("T1w",), "FLAIR", "T1w").visits[0].pair
    assert pair.sources == (anat / "sub-01_ses-A_run-2_desc-normalized_T1w.nii.gz",)
    assert pair.mask == anat / "sub-01_ses-A_run-2_desc-brain_mask.nii.gz"
    assert pair.target is None


def test_images_on_another_contrast_than_the_reference_are_not_used(derivatives):
    gathered = gather(derivatives, ("T1w",), "FLAIR", "FLAIR")
    assert gathered.visits == ()
    assert {skip.reason for skip in gathered.skipped} == {
        "its table lists no FLAIR that the others were aligned with"
    }
    assert gathered.skipped[0].hint == "run the participant level with --reference FLAIR"


def test_labels_restrict_what_is_gathered(derivatives):
    gathered = gather(derivatives, ("T1w",), "FLAIR", "T1w", participants=("01", "03"), sessions=("A",))
    assert [visit.pair.visit for visit in gathered.visits] == ["sub-01_ses-A", "sub-03_ses-A"]
    assert gathered.dropped == ()
    with pytest.raises(NothingSelectedError, match="labels match no visit"):
        gather(derivatives, ("T1w",), "FLAIR", "T1w", sessions=("B",))


def test_everybody_is_recognized_whether_or_not_their_visit_can_be_used(derivatives):
    rewrite_table(derivatives, "01", lambda line: "")
    rewrite_table(derivatives, "03", lambda line: "" if "_T1w" in line else line)
    gathered = gather(derivatives, ("T1w",), "FLAIR", "T1w", participants=("01", "03"))
    assert gathered.visits == ()
    pairs = [(one.visit, one.participant, one.fingerprint) for one in gathered.identities]
    assert pairs == [(f"sub-0{n}_ses-A", f"sub-0{n}", "f" * 64) for n in (1, 2, 3)]


def test_what_is_known_of_a_gathered_visit(derivatives):
    first, second, _ = gather(derivatives, ("T1w",), "FLAIR", "T1w").visits
    assert (first.methods, first.spacing_mm) == ({"T1w": "robust", "FLAIR": "robust"}, (2.0, 2.0, 2.0))
    assert second.methods == {"T1w": "robust"}  # its target is not learned from
