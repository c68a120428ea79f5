"""The sink: every file that it promises, and nothing else."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp.imaging.transforms import LinearTransform, write_itk
from bidsapp.interfaces.output import SinkScan, scan_outputs
from bidsapp.interfaces.record import is_complete, read_record
from bidsapp.records import Scan, Visit

RAW = "/data/raw"
GRID = {"Shape": [4, 5, 6], "Affine": np.eye(4).tolist(), "Code": 1}
VISIT = Visit(
    "01",
    "A",
    (
        Scan(Path(f"{RAW}/sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz"), "T1w"),
        Scan(Path(f"{RAW}/sub-01/ses-A/anat/sub-01_ses-A_acq-2d_FLAIR.nii.gz"), "FLAIR", {"acq": "2d"}),
        Scan(Path(f"{RAW}/sub-01/ses-A/ct/sub-01_ses-A_ct.nii.gz"), "ct"),
    ),
)


@pytest.fixture
def sink(files, tmp_path):
    """Return a function that sinks the scan of a contrast into a folder."""
    image, mask = files("scan")
    figure = tmp_path / "figure.svg"
    figure.write_text("<svg/>")

    def sink(contrast, out, found_by="deepbet", **more):
        if contrast == "T1w":
            more["head"] = mask
        else:
            more |= {"head": mask, "measured": mask} if contrast == "ct" else {}
            more["transform"] = str(write_itk(LinearTransform(np.eye(4)), tmp_path / "t.txt"))
        work = tmp_path / f"work-{contrast}"
        work.mkdir(exist_ok=True)
        SinkScan(
            out_dir=str(out),
            raw_dir=RAW,
            visit=VISIT,
            contrast=contrast,
            reference="T1w",
            resolution="1 mm isotropic",
            found_by=found_by,
            sloppy=False,
            preproc=image,
            normalized=image,
            mask=mask,
            figures={"brain": str(figure)},
            histogram={"Low": 0.0, "High": 4.0, "Density": [0.25], "Voxels": 9},
            header={"Matrix": "4 × 5 × 6"},
            scale={"method": "robust", "offset": 300.0, "scale": 80.0},
            numbers={"brain_volume_ml": 268.0, "flags": ""},
            decisions=["kept"],
            fingerprint="f" * 64,
            grid=GRID,
            **more,
        ).run(cwd=str(work))
        return read_record(work)

    return sink


@pytest.mark.parametrize(("contrast", "count"), [("T1w", 10), ("FLAIR", 10), ("ct", 14)])
def test_what_is_promised_is_written(sink, tmp_path, contrast, count):
    out = tmp_path / "out"
    record = sink(contrast, out)
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert there == set(record["outputs"])
    shown = [
        f"sub-01/figures/sub-01_ses-A_desc-{end}"
        for end in (f"brain_{contrast}.svg", f"histogram_{contrast}.json")
    ]
    assert there == {*scan_outputs(VISIT, VISIT.scan(contrast), "T1w"), *shown}
    assert record["figures"] == {"brain": shown[0]}
    assert len(there) == count


def test_the_row_names_the_image_and_its_scale(sink, tmp_path):
    row = sink("FLAIR", tmp_path / "out")["row"]
    assert row["filename"] == "anat/sub-01_ses-A_acq-2d_space-T1w_desc-preproc_FLAIR.nii.gz"
    assert (row["scale_offset"], row["scale_scale"], row["brain_volume_ml"]) == (300, 80, 268)


def test_the_histogram_has_the_scale_that_makes_it_the_one_after(sink, tmp_path):
    record = sink("FLAIR", tmp_path / "out")
    assert (record["header"], record["raw"]) == (
        {"Matrix": "4 × 5 × 6"},
        "sub-01/ses-A/anat/sub-01_ses-A_acq-2d_FLAIR.nii.gz",
    )
    path = tmp_path / "out/sub-01/figures/sub-01_ses-A_desc-histogram_FLAIR.json"
    assert json.loads(path.read_text()) == {
        "Contrast": "FLAIR",
        "Method": "robust",
        "Offset": 300.0,
        "Scale": 80.0,
        "Low": 0.0,
        "High": 4.0,
        "Density": [0.25],
        "Voxels": 9,
    }


def test_sources_lead_from_the_normalized_image_to_the_raw_one(sink, tmp_path):
    out = tmp_path / "out"
    sink("FLAIR", out)
    stem = "sub-01/ses-A/anat/sub-01_ses-A_acq-2d_space-T1w_desc-"
    normalized, preproc = (
        json.loads((out / f"{stem}{desc}_FLAIR.json").read_text()) for desc in ("normalized", "preproc")
    )
    assert f"bids::{stem}preproc_FLAIR.nii.gz" in normalized["Sources"]
    assert preproc["Sources"] == ["bids:raw:sub-01/ses-A/anat/sub-01_ses-A_acq-2d_FLAIR.nii.gz"]
    assert preproc["SourceSHA256"] == "f" * 64
    assert preproc["AcquiredGrid"] == GRID
    assert preproc["SpatialReference"] == "bids::sub-01/ses-A/anat/sub-01_ses-A_desc-preproc_T1w.nii.gz"


def test_a_bias_field_is_written_on_the_grid_of_the_acquired_image(sink, files, tmp_path):
    out, (field, _) = tmp_path / "out", files("scan")
    assert "sub-01/ses-A/anat/sub-01_ses-A_desc-biasfield_T1w.nii.gz" in sink("T1w", out, field=field)["outputs"]
    written = out / "sub-01/ses-A/anat/sub-01_ses-A_desc-biasfield_T1w"
    assert np.array_equal(nib.load(f"{written}.nii.gz").get_fdata(), nib.load(field).get_fdata())
    raw = "bids:raw:sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz"
    assert json.loads(written.with_suffix(".json").read_text())["SpatialReference"] == raw


def test_what_somebody_else_made_is_the_source(sink, tmp_path):
    uri = "bids:theirs:sub-01/ses-A/anat/sub-01_ses-A_desc-brain_mask.nii.gz"
    sink("T1w", tmp_path / "out", given={"mask": uri})
    (sidecar,) = (tmp_path / "out").rglob("*_desc-brain_mask.json")
    assert json.loads(sidecar.read_text())["Sources"] == [uri]


def test_writing_again_touches_nothing(sink, tmp_path):
    out = tmp_path / "out"
    before, after = (
        sink("T1w", out) and {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
        for _ in range(2)
    )
    assert before == after
    masks = [nib.load(path) for path in sorted(out.rglob("*_mask.nii.gz"))]
    assert [mask.get_data_dtype() for mask in masks] == [np.uint8, np.uint8]


def test_what_was_deleted_or_replaced_is_no_longer_complete(sink, tmp_path):
    out, work = tmp_path / "out", tmp_path / "work-FLAIR"
    assert not is_complete(work, out)
    record = sink("FLAIR", out)
    assert is_complete(work, out)
    image = out / record["outputs"][0]
    content = image.read_bytes()
    image.write_bytes(content[:-1])
    assert not is_complete(work, out)
    image.unlink()
    assert not is_complete(work, out)
    sink("FLAIR", out)
    assert image.read_bytes() == content
    assert is_complete(work, out)


def test_the_sidecar_of_a_transform_says_what_the_matrix_is(sink, tmp_path):
    out = tmp_path / "out"
    sink("FLAIR", out)
    sidecar = out / "sub-01/ses-A/anat/sub-01_ses-A_acq-2d_from-FLAIR_to-T1w_mode-image_xfm.json"
    assert json.loads(sidecar.read_text())["Type"] == "Rigid"


def test_a_given_mask_of_a_stripped_image_is_called_what_it_is(sink, tmp_path):
    sink("T1w", tmp_path, found_by="precomputed", stripped=True, given={"mask": "bids:theirs:mask.nii.gz"})
    anat = tmp_path / "sub-01/ses-A/anat"
    names = ("brain_mask", "preproc_T1w")
    mask, image = (json.loads((anat / f"sub-01_ses-A_desc-{name}.json").read_text()) for name in names)
    assert mask["Description"] == "Brain on the T1w, made by somebody else, on the common grid"
    assert image["SkullStripped"] is True


def test_an_aligned_image_says_which_scan_it_was_aligned_with(sink, tmp_path):
    sink("FLAIR", tmp_path, reference_fingerprint="e" * 64)
    (sidecar,) = tmp_path.rglob("*desc-preproc_FLAIR.json")
    assert json.loads(sidecar.read_text())["ReferenceSHA256"] == "e" * 64
    sink("T1w", tmp_path)
    (sidecar,) = tmp_path.rglob("*desc-preproc_T1w.json")
    assert "ReferenceSHA256" not in json.loads(sidecar.read_text())
