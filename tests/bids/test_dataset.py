"""The derivative dataset: its root, its validity, and what can be gathered from it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp.bids import names, sidecars, sink
from bidsapp.bids.dataset import SCANS_COLUMNS, open_derivatives, update_participants
from bidsapp.bids.gather import gather
from bidsapp.errors import CannotCreateError, UsageError
from bidsapp.records import IntensityScale, Scan, Visit

SCALE = IntensityScale("robust", 100.0, 20.0)


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


def write_visit(out, visit, flags):
    affine = np.diag([2.0, 2, 2, 1])
    image = nib.Nifti1Image(np.random.default_rng(0).normal(size=(5, 6, 7)), affine)
    image.set_sform(affine, 1)
    reference = names.preproc(visit, visit.scan("T1w"), "T1w")
    about = sidecars.Provenance(reference, "T1w")
    rows = []
    for scan in visit.scans:
        raw = f"sub-{visit.subject}/ses-A/anat/{visit.label}_{scan.contrast}.nii.gz"
        preproc, normalized, mask = (
            f(visit, scan, "T1w") for f in (names.preproc, names.normalized, names.brain_mask)
        )
        sidecar = sidecars.preproc(about, scan.contrast, raw, sha256="f" * 64, decisions=(), resolution="1 mm")
        sink.write_image(image, out / preproc, sidecar)
        sink.write_image(
            image, out / normalized, sidecars.normalized(about, scan.contrast, (preproc, mask), SCALE)
        )
        sink.write_image(
            image,
            out / mask,
            sidecars.mask(about, scan.contrast, [sidecars.raw_uri(raw)], "deepbet"),
            dtype="uint8",
        )
        flag = flags if scan.contrast == "FLAIR" else ""
        rows.append({"filename": f"anat/{Path(preproc).name}", "contrast": scan.contrast, "flags": flag})
    path = names.synth(visit, [visit.scan("T1w")], "FLAIR")
    sidecar = sidecars.synth(
        sources=[preproc],
        source_contrasts=("T1w",),
        target_contrast="FLAIR",
        model={"Name": "m", "Version": "1", "SHA256": "0"},
        in_training_set=True,
        fold=2,
        scale=SCALE,
        source_sha256="f" * 64,
        reference=reference,
        sloppy=False,
    )
    sink.write_image(image, out / path, sidecar)
    transform = names.transform(visit, Scan(Path("f"), "FLAIR"), "T1w")
    sink.write_text("#", out / transform)
    sink.write_json(sidecars.transform(about, "FLAIR", ("a",), "Rigid"), out / names.sidecar(transform))
    sink.write_text("", out / names.report(visit))
    sink.write_text("", out / names.figure(visit, "brain", "T1w"))
    sink.write_tsv(rows, out / names.scans_table(visit), ["filename", *SCANS_COLUMNS])


def test_the_validator_finds_no_error(derivatives, tmp_path):
    sink.write_text("", derivatives / "models/x/bundle.json")
    sink.write_text("", derivatives / "group.html")
    sink.write_text("", derivatives / "group_metrics.tsv")
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
