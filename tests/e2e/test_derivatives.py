"""Several sessions and runs, both levels: complete derivatives that the official validator accepts."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bidsapp.bids.dataset import SCANS_COLUMNS

from ..validation import ACCEPTED, complaints

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# What every sidecar of an image says.
NEEDED = {"Description", "Sources"}


@pytest.fixture(scope="module")
def out(phantom_cohort, tmp_path_factory):
    """Derivatives of a dataset whose first visit was scanned twice, with an acquisition label."""
    raw = shutil.copytree(phantom_cohort, tmp_path_factory.mktemp("runs") / "raw")
    anat = raw / "sub-01/ses-1/anat"
    for image in list(anat.glob("*.nii.gz")):
        name, suffix = image.name.removesuffix(".nii.gz").rsplit("_", 1)
        for run in ("1", "2"):
            shutil.copy(image, anat / f"{name}_acq-mpr_run-{run}_{suffix}.nii.gz")
        image.unlink()
        sidecar = image.with_name(image.name.replace(".nii.gz", ".json"))
        if sidecar.exists():
            sidecar.unlink()
    (raw / "participants.tsv").write_text("participant_id\tsite\nsub-01\ta\nsub-02\tb\nsub-03\ta\n")
    out = raw.parent / "out"
    words = (raw, out, "participant", "group", "--stratify", "site", "--sloppy", "--max-steps", "4")
    command = [sys.executable, "-m", "bidsapp", *map(str, words), "--nprocs", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return out


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_the_validator_finds_no_error_and_no_warning_but_those_we_accept(out):
    assert complaints(out) == []
    text = (ROOT / "docs/outputs.md").read_text(encoding="utf-8")
    assert all(code in text for code, _, _ in ACCEPTED)


def test_every_image_has_a_sidecar_that_says_what_it_is(out):
    images = [path for path in out.rglob("sub-*.nii.gz") if "work" not in path.relative_to(out).parts]
    assert len(images) == 2 * 9 + 2 * 6  # two visits have a FLAIR
    for image in images:
        sidecar = json.loads(image.with_name(image.name.replace(".nii.gz", ".json")).read_text())
        assert sidecar.keys() >= NEEDED, image
        if not image.name.endswith("_mask.nii.gz"):
            assert "SkullStripped" in sidecar, image
        if "_space-T1w_" in image.name:
            assert "SpatialReference" in sidecar, image
        if "desc-synth" in image.name:
            assert (sidecar.get("Synthetic"), sidecar["Description"].startswith("SLOPPY")) == (True, True), image


def test_every_desc_label_has_a_row_and_every_participant_one(out):
    used = {re.search("desc-[A-Za-z0-9]+", path.name)[0] for path in out.glob("sub-*/**/*_desc-*")}
    assert used <= {row["desc_id"] for row in table(out / "descriptions.tsv")}
    people = table(out / "participants.tsv")
    assert {row["participant_id"] for row in people} == {path.name for path in out.glob("sub-*") if path.is_dir()}
    assert [row["site"] for row in people] == ["a", "b", "a"]
    assert "site" in json.loads((out / "participants.json").read_text())


def test_every_visit_has_a_table_whose_columns_are_explained_and_whose_files_exist(out):
    explained = json.loads((out / "scans.json").read_text()).keys()
    tables = sorted(out.glob("sub-*/ses-*/*_scans.tsv"))
    assert len(tables) == 4
    for path in tables:
        for row in table(path):
            assert (path.parent / row["filename"]).is_file()
            assert row.keys() - {"filename"} <= explained == SCANS_COLUMNS.keys()


def test_a_repeated_scan_keeps_its_entities(out):
    names = {path.name for path in (out / "sub-01/ses-1/anat").glob("*_desc-preproc_*.nii.gz")}
    assert names == {
        "sub-01_ses-1_acq-mpr_run-1_desc-preproc_T1w.nii.gz",
        "sub-01_ses-1_acq-mpr_run-1_space-T1w_desc-preproc_FLAIR.nii.gz",
    }


def test_the_files_at_the_root(out):
    assert {path.name for path in out.iterdir() if path.is_file()} >= {
        *("README.md", ".bidsignore", "dataset_description.json", "descriptions.tsv", "group.html"),
        *("participants.tsv", "participants.json", "scans.json"),
        *("group_metrics.tsv", "group_metrics.json", "group_comparison.tsv", "group_comparison.json"),
    }
    assert "never acquired" in (out / "README.md").read_text()
    ignored = (out / ".bidsignore").read_text().split()
    assert {"*.html", "*_xfm.*", "figures", "models"} <= set(ignored)


def test_the_methods_text_tells_of_both_levels_and_cites_what_it_lists(out):
    text = (out / "logs/CITATION.md").read_text(encoding="utf-8")
    body, _, listed = text.partition("## References")
    keys = {key for group in re.findall(r"\[(@[^\]]+)\]", body) for key in group.replace("@", "").split("; ")}
    entries = (out / "logs/CITATION.bib").read_text(encoding="utf-8")
    assert keys == set(re.findall(r"^@\w+\{(\w+),", entries, re.MULTILINE))
    assert keys == set(re.findall(r"^- \*\*(\w+)\*\*", listed, re.MULTILINE))
    assert "for tests only (--sloppy)" in body
    assert "was trained to predict FLAIR from T1w" in body
    assert "for 4 steps in each of 2 folds of 2 participants" in body
    assert "desc-synth_FLAIR is synthetic" in body
    assert "(1 of 2 visits)" not in body
    for page in ("sub-01_ses-1.html", "group.html"):
        content = (out / page).read_text(encoding="utf-8")
        assert "[@" not in content
        assert "(Tustison et al. 2010)" in content or "(Jordan et al. 2024" in content
