"""Slices out and back: the same bits, the same place; and which slices are written."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest
import tifffile

from bidsapp.bids import names
from bidsapp.cli.slices import main
from bidsapp.errors import DataError, NoInputError, UsageError
from bidsapp.formats.assembly import assemble
from bidsapp.formats.slices import SliceOptions, plane_of, write_slices
from bidsapp.records import CT, Scan, Visit

from ..derived import write_visit

SHAPE = (10, 12, 14)


def visit(subject, *contrasts):
    return Visit(subject, "A", tuple(Scan(None, contrast) for contrast in contrasts))


def turned(path, axes):
    """Store an image in another order of axes, obliquely; the same for every image of a visit."""
    image = nib.load(path)
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes)
    )
    made = image.as_reoriented(turn)
    c, s = np.cos(0.2), np.sin(0.2)
    affine = np.array([[1, 0, 0, 3], [0, c, -s, 4], [0, s, c, 5], [0, 0, 0, 1]]) @ made.affine
    made = nib.Nifti1Image(np.asarray(made.dataobj), affine)
    made.set_qform(affine, 1)
    made.set_sform(affine, 1)
    nib.save(made, path)


@pytest.fixture
def derivatives(tmp_path):
    out = tmp_path / "out"
    for subject, contrasts in (("01", ("T1w", "FLAIR")), ("02", ("T1w",))):
        write_visit(out, visit(subject, *contrasts), shape=SHAPE)
    return out


def rows(folder):
    with (folder / "slices.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize(
    ("axis", "ending", "axes"),
    [("axial", ".tif", "LPS"), ("coronal", ".npy", "PSR"), ("sagittal", ".tif", "SAL"), ("axial", ".npy", "ILP")],
)
def test_out_and_back_are_the_same_bits_at_the_same_place(derivatives, tmp_path, axis, ending, axes):
    for path in derivatives.rglob("sub-01*_desc-normalized_*.nii.gz"):
        turned(path, axes)
    options = SliceOptions(("T1w", "FLAIR"), axis=axis, ending=ending)
    written = write_slices(derivatives, tmp_path / "slices", options)
    count = SHAPE[("sagittal", "coronal", "axial").index(axis)]
    assert (written.slices, written.visits) == (3 * count, ["sub-01_ses-A", "sub-02_ses-A"])
    for path in assemble(tmp_path / "slices", tmp_path / "back"):
        before = nib.load(derivatives / path.relative_to(tmp_path / "back"))
        after = nib.load(path)
        assert after.get_data_dtype() == before.get_data_dtype()
        assert np.asarray(after.dataobj).tobytes() == np.asarray(before.dataobj).tobytes()
        assert np.array_equal(after.affine, before.affine)
        assert np.allclose(after.get_qform(), before.get_qform(), atol=1e-5)
        assert int(after.header["sform_code"]) == int(before.header["sform_code"])


def test_images_of_ours_come_back_as_the_same_file(derivatives, tmp_path):
    write_slices(derivatives, tmp_path / "slices", SliceOptions(("T1w", "FLAIR"), "preproc"))
    back = assemble(tmp_path / "slices", tmp_path / "back")
    assert len(back) == 3
    for path in back:
        assert path.read_bytes() == (derivatives / path.relative_to(tmp_path / "back")).read_bytes()


def test_a_ct_keeps_whole_hounsfield_units(tmp_path):
    out, of = tmp_path / "out", visit("01", "T1w", CT)
    write_visit(out, of, shape=SHAPE)
    path = out / names.preproc(of, of.scan(CT), "T1w")
    values = np.random.default_rng(0).integers(-1024, 3071, SHAPE).astype(np.int16)
    nib.save(nib.Nifti1Image(values, nib.load(path).affine), path)
    write_slices(out, tmp_path / "slices", SliceOptions(("T1w", CT), "preproc", extent=(40, 60)))
    (back,) = assemble(tmp_path / "slices", tmp_path / "back", [CT])
    found = np.asarray(nib.load(back).dataobj)
    kept = sorted({int(row["index"]) for row in rows(tmp_path / "slices")})
    assert found.dtype == np.int16
    assert np.array_equal(found[..., kept], values[..., kept])
    assert (np.delete(found, kept, axis=2) == -1024).all()


def test_slices_missing_of_a_normalized_ct_are_air_and_no_water(tmp_path):
    out = tmp_path / "out"
    write_visit(out, visit("01", "T1w", CT), shape=SHAPE)
    write_slices(out, tmp_path / "slices", SliceOptions(("T1w", CT), extent=(40, 60)))
    t1w, ct = (assemble(tmp_path / "slices", tmp_path / name, [name])[0] for name in ("T1w", CT))
    kept = sorted({int(row["index"]) for row in rows(tmp_path / "slices")})
    assert 0 < len(kept) < SHAPE[2]
    for path, value in ((t1w, 0), (ct, np.float32(-1.024))):
        assert (np.delete(np.asarray(nib.load(path).dataobj), kept, axis=2) == value).all()


def test_a_slice_shows_left_at_the_left_and_front_above(derivatives, tmp_path):
    path = derivatives / "sub-01/ses-A/anat/sub-01_ses-A_desc-normalized_T1w.nii.gz"
    data = np.zeros(SHAPE, np.float32)
    data[1, 9, 5] = 7.0  # left (low x), front (high y)
    image = nib.Nifti1Image(data, nib.load(path).affine)
    nib.save(image, path)
    turned(path, "LPS")
    write_slices(derivatives, tmp_path / "s", SliceOptions(("T1w",)))
    (name,) = [row["T1w"] for row in rows(tmp_path / "s") if (row["visit"], row["index"]) == ("sub-01_ses-A", "5")]
    plane = tifffile.imread(tmp_path / "s" / name)
    assert (plane.dtype, plane.shape) == (np.float32, (12, 10))
    assert np.argwhere(plane).tolist() == [[2, 1]]
    assert np.array_equal(plane_of(data, 2, 5), plane)


def test_slices_of_a_visit_are_paired_by_name_and_row(derivatives, tmp_path):
    write_slices(derivatives, tmp_path / "s", SliceOptions(("T1w", "FLAIR"), ending=".npy"))
    found = rows(tmp_path / "s")
    first = [row for row in found if row["visit"] == "sub-01_ses-A"]
    assert len(first) == SHAPE[2]
    for row in first:
        assert row["T1w"].removeprefix("T1w/") == row["FLAIR"].removeprefix("FLAIR/")
        assert (tmp_path / "s" / row["FLAIR"]).is_file()
    assert {row["FLAIR"] for row in found if row["visit"] == "sub-02_ses-A"} == {"n/a"}
    assert [float(row["position_mm"]) for row in first] == [2.0 * k for k in range(SHAPE[2])]


def test_a_part_of_the_brain_is_written(derivatives, tmp_path):
    for path in derivatives.rglob("*_desc-brain_mask.nii.gz"):
        mask = np.zeros(SHAPE, np.uint8)
        mask[3:7, 3:8, 2:13] = 1  # slices 2 to 12
        nib.save(nib.Nifti1Image(mask, nib.load(path).affine), path)
    write_slices(derivatives, tmp_path / "s", SliceOptions(("T1w",), extent=(20, 80)))
    assert {int(row["index"]) for row in rows(tmp_path / "s")} == set(range(4, 11))
    back = assemble(tmp_path / "s", tmp_path / "back")
    sidecar = json.loads(back[0].with_name(back[0].name.replace(".nii.gz", ".json")).read_text())
    assert sidecar["Description"] == "Assembled from 7 slices; 7 slices that were not written are 0"


def test_the_brain_s_extent_is_that_of_the_reference_that_the_table_lists(tmp_path):
    out, of = tmp_path / "out", Visit("01", "A", (Scan(None, "T1w", {"run": "2"}),))
    write_visit(out, of, shape=SHAPE)
    path = out / names.brain_mask(of, of.scan("T1w"), "T1w")
    affine = nib.load(path).affine
    for run, first in (("run-1", 0), ("run-2", 4)):  # an earlier run chose the other T1w, and its files stay
        mask = np.zeros(SHAPE, np.uint8)
        mask[..., first : first + 3] = 1
        nib.save(nib.Nifti1Image(mask, affine), path.with_name(path.name.replace("run-2", run)))
    write_slices(out, tmp_path / "s", SliceOptions(("T1w",), extent=(0, 100)))
    assert {int(row["index"]) for row in rows(tmp_path / "s")} == {4, 5, 6}
    path.unlink()
    with pytest.raises(NoInputError, match="no brain mask"):
        write_slices(out, tmp_path / "s2", SliceOptions(("T1w",), extent=(0, 100)))


def test_background_is_left_out_by_a_percentile(derivatives, tmp_path):
    for path in derivatives.rglob("*_desc-normalized_T1w.nii.gz"):
        data = np.zeros(SHAPE, np.float32)
        data[2:8, 2:8, 3:9] = 1.0
        data[0, 0, 11] = 1.0  # one voxel of noise is no foreground: 1 of 120
        nib.save(nib.Nifti1Image(data, nib.load(path).affine), path)
    write_slices(derivatives, tmp_path / "s", SliceOptions(("T1w",), background=50))
    assert {int(row["index"]) for row in rows(tmp_path / "s")} == set(range(3, 9))


def test_what_is_flagged_or_lacking_is_not_written(tmp_path):
    out = tmp_path / "out"
    write_visit(out, visit("01", "T1w", "FLAIR"), "registration", shape=SHAPE)
    write_visit(out, visit("02", "T1w", "FLAIR"), shape=SHAPE)
    written = write_slices(out, tmp_path / "s", SliceOptions(("FLAIR", "T1w")))
    assert (written.visits, written.left_out) == (
        ["sub-02_ses-A"],
        {"sub-01_ses-A": "its FLAIR is flagged: registration"},
    )
    with pytest.raises(NoInputError, match="no visit has a usable T2w"):
        write_slices(out, tmp_path / "s2", SliceOptions(("T2w",)))
    with pytest.raises(NoInputError, match=r"no sub-\*_scans\.tsv"):
        write_slices(tmp_path / "s", tmp_path / "s3", SliceOptions(("T1w",)))
    with pytest.raises(UsageError, match="is not empty"):
        write_slices(out, tmp_path / "s", SliceOptions(("T1w",)))


def test_predicted_slices_become_an_image(derivatives, tmp_path):
    write_slices(derivatives, tmp_path / "s", SliceOptions(("T1w",)))
    for path in (tmp_path / "s/T1w").iterdir():
        tifffile.imwrite(path, tifffile.imread(path) * np.float32(2))
    for path in assemble(tmp_path / "s", tmp_path / "back"):
        before = nib.load(derivatives / path.relative_to(tmp_path / "back"))
        assert np.array_equal(np.asarray(nib.load(path).dataobj), np.asarray(before.dataobj) * np.float32(2))


def test_bad_slices_are_refused_by_name(derivatives, tmp_path):
    write_slices(derivatives, tmp_path / "s", SliceOptions(("T1w",)))
    path = sorted((tmp_path / "s/T1w").iterdir())[3]
    for content, reason in (
        (np.zeros((3, 3), np.float32), "its image has other slices"),
        (np.zeros((12, 10), np.uint8), "where a slice of float32 is expected"),
    ):
        tifffile.imwrite(path, content)
        with pytest.raises(DataError, match=reason) as error:
            assemble(tmp_path / "s", tmp_path / "back")
        assert path.name in error.value.message
    path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="no readable slice"):
        assemble(tmp_path / "s", tmp_path / "back")
    path.unlink()
    with pytest.raises(DataError, match="no readable slice"):
        assemble(tmp_path / "s", tmp_path / "back")
    (tmp_path / "s/volumes.json").write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        assemble(tmp_path / "s", tmp_path / "back")
    with pytest.raises(DataError, match="cannot be read"):
        assemble(derivatives, tmp_path / "back")


def test_a_damaged_image_costs_its_visit_and_leaves_no_slice_of_it(derivatives, tmp_path):
    path = derivatives / "sub-01/ses-A/anat/sub-01_ses-A_space-T1w_desc-normalized_FLAIR.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    written = write_slices(derivatives, tmp_path / "s", SliceOptions(("T1w", "FLAIR")))
    assert written.visits == ["sub-02_ses-A"]
    assert f"{path}: cannot be read: " in written.left_out["sub-01_ses-A"]
    assert not list((tmp_path / "s").rglob("sub-01*"))


def test_a_contrast_that_no_visit_has_is_named(derivatives, tmp_path):
    with pytest.raises(UsageError, match=r"no visit has a usable FLAR "):
        write_slices(derivatives, tmp_path / "s", SliceOptions(("T1w", "FLAR")))
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("index", ["14", "-20", "x"])
def test_a_table_of_slices_that_was_changed_is_refused(derivatives, tmp_path, index):
    write_slices(derivatives, tmp_path / "s", SliceOptions(("T1w",)))
    table = tmp_path / "s/slices.tsv"
    table.write_text(table.read_text().replace("sub-01_ses-A\t3\t", f"sub-01_ses-A\t{index}\t"))
    with pytest.raises(DataError, match=r"volumes\.json or slices\.tsv is damaged"):
        assemble(tmp_path / "s", tmp_path / "back")


def test_the_command(derivatives, tmp_path, capsys):
    words = [str(derivatives), str(tmp_path / "s"), "--contrasts", "T1w, FLAIR,T1w", "--range", "0,100"]
    assert main([*words, "--slice-axis", "coronal", "--format", "npy"]) == 0
    assert capsys.readouterr().err == f"synthprep-slices: 36 slices of 2 visits: {tmp_path / 's'}\n"
    assert main([str(tmp_path / "s"), str(tmp_path / "back"), "--assemble"]) == 0
    assert capsys.readouterr().err == f"synthprep-slices: 3 images: {tmp_path / 'back'}\n"
    assert main([str(tmp_path / "s"), str(tmp_path / "back"), "--assemble"]) == 64
    assert main([str(tmp_path / "s"), str(tmp_path / "b"), "--assemble", "--contrasts", "T2w"]) == 64
    for wrong in (["--range", "80,20"], ["--range", "x"], ["--background", "100"], ["--format", "png"]):
        assert main([*words, *wrong]) == 64
    assert main([str(tmp_path), str(tmp_path / "x")]) == 66
