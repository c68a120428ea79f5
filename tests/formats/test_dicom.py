"""DICOM series that are volumes are converted; those that are none are refused by name; nobody is named."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dcm2niix")
pytest.importorskip("pydicom")

from bidsapp.errors import DataError, InputOutputError
from bidsapp.formats import dicom
from bidsapp.formats.deidentify import NUMBERS, WORDS, allowed
from bidsapp.formats.discover import discover
from bidsapp.formats.guessing import NO_PLACE, ONE_SLICE, SEVERAL_PATIENTS, guess
from bidsapp.formats.names import ENHANCED
from bidsapp.formats.reading import digest_of, read_volume
from bidsapp.formats.series import series_of
from bidsapp.formats.volume import ReadOptions

from ..fabricated import ct_head, image, oblique, write_dicom
from .test_readers import assert_same

PLAIN = ReadOptions()


def test_an_oblique_series_keeps_values_and_places(tmp_path):
    data, affine = image()
    volume = read_volume(write_dicom(tmp_path / "s", data, oblique(affine)), PLAIN, "T1w")
    assert_same(volume, data, oblique(affine), atol=1e-3)
    assert volume.sidecar["EchoTime"] == pytest.approx(0.0035)
    assert volume.sidecar["RepetitionTime"] == pytest.approx(2.0)


def test_nothing_that_names_anybody_reaches_a_sidecar(tmp_path):
    volume = read_volume(write_dicom(tmp_path / "s", *image()), PLAIN, "T1w")
    told = json.dumps([volume.sidecar, volume.said])
    secrets = ["lanted", "ID4711", "1970", "ACC0815", "2001", "04:05", "STATION9", "SN12345", "1.2.826", "1.2.840"]
    assert [word for word in secrets if word in told] == []
    assert set(volume.sidecar) <= NUMBERS | WORDS


def test_a_field_that_may_be_told_must_be_what_it_should_be():
    told = {
        "EchoTime": "Jane Planted",
        "RepetitionTime": 2.0,
        "Modality": "M" * 65,
        "ImageType": ["ORIGINAL", None],
        "FlipAngle": float("nan"),
        "InversionTime": [0.9, float("inf")],
        "ScanOptions": float("nan"),
    }
    assert allowed(told) == {"RepetitionTime": 2.0}
    assert (
        allowed({"PatientName": "x", "SeriesInstanceUID": "1.2", "AcquisitionTime": "1:2", "FlipAngle": True})
        == {}
    )


LEFT_OUT = {
    "a missing slice": ({"places": [0, 1, 2, 4, 5, 6, 7, 8, 9]}, "1 slices are missing"),
    "two missing slices": ({"places": [0, 1, 4, 5, 6, 7, 8, 9]}, "2 slices are missing"),
    "one slice": ({"places": [0]}, "a series of one slice"),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_series_with_holes_are_refused_by_name(tmp_path, what):
    words, reason = LEFT_OUT[what]
    folder = write_dicom(tmp_path / "series", *image(), **words)
    with pytest.raises(DataError, match=reason) as error:
        read_volume(folder, PLAIN)
    assert str(folder) in error.value.message


def edit(folder, change):
    from pydicom import dcmread

    for k, path in enumerate(sorted(folder.iterdir())):
        header = dcmread(path)
        change(k, header)
        header.save_as(path)


def moved(k, header):
    header.ImagePositionPatient = [*header.ImagePositionPatient[:2], (0, 3, 5, 9, 14, 15, 21, 23, 30, 31)[k]]


def turned(k, header):
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if k else [0, 1, 0, 0, 0, -1]


def resized(k, header):
    header.PixelSpacing = [1.5, 2.0] if k else [1.0, 1.0]


def doubled(k, header):
    header.ImagePositionPatient = [0, 0, 3.0 * (k // 2)]


def placeless(k, header):
    del header.ImagePositionPatient


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (moved, "uneven gaps between slices, 1.0 to 7.0 mm"),
        (turned, "mixed series: slices of several orientations"),
        (resized, "mixed series: slices of several sizes"),
        (doubled, "several images at one place"),
        (placeless, "does not say where its slice lies"),
    ],
)
def test_series_that_are_no_volume_are_refused_by_name(tmp_path, change, reason):
    folder = write_dicom(tmp_path / "series", *image())
    edit(folder, change)
    with pytest.raises(DataError, match=reason):
        read_volume(folder, PLAIN)


def test_several_series_in_a_folder_are_told_apart_by_their_number(tmp_path):
    first, second = image(seed=1), image(seed=2)
    write_dicom(tmp_path / "all/a", *first, number=3, description="t1 mprage")
    write_dicom(tmp_path / "all/b", *second, number=4, description="t2 flair")
    with pytest.raises(DataError, match=r"mixed series, 2 in one folder: 3 \(10 files\), 4 \(10 files\)"):
        read_volume(tmp_path / "all", PLAIN)
    for number, (data, affine) in ((3, first), (4, second)):
        assert_same(read_volume(tmp_path / f"all#{number}", PLAIN), data, affine, atol=1e-3)
    with pytest.raises(DataError, match="no series 5"):
        read_volume(tmp_path / "all#5", PLAIN)


def test_a_guess_tells_series_by_what_they_are_called(tmp_path):
    for name, number, words in (("a", 3, "t1 mprage"), ("b", 4, "t2 flair"), ("c", 5, "localizer")):
        write_dicom(tmp_path / "patient01", *image(), number=number, description=words)
        for path in (tmp_path / "patient01").glob("0*.dcm"):
            path.rename(path.with_name(name + path.name))
    made = guess(discover(tmp_path))
    found = [(item.source.name, item.participant, item.contrast) for item in made.items]
    assert found == [("patient01#4", "01", "FLAIR"), ("patient01#3", "01", "T1w")]


def test_a_guess_leaves_out_a_ct_that_is_described_with_a_contrast_agent(tmp_path):
    for number, words in ((3, "HEAD PLAIN 5.0"), (4, "CTA HEAD POST CONTRAST")):
        write_dicom(tmp_path / f"p0{number}", *ct_head(), number=number, modality="CT", description=words)
    made = guess(discover(tmp_path))
    assert [item.goal for item in made.items] == ["sub-03/ct/sub-03_ct.nii.gz"]
    assert made.left_out == {ENHANCED: ["p04"]}


def test_a_topogram_costs_only_itself(tmp_path):
    for number, name, places in ((1, "topogram", [0]), (2, "CT", None)):
        write_dicom(tmp_path / "p03" / name, *ct_head(), number=number, modality="CT", places=places)
    made = guess(discover(tmp_path))
    assert [(item.source.name, item.goal) for item in made.items] == [("CT", "sub-03/ct/sub-03_ct.nii.gz")]
    assert made.left_out == {ONE_SLICE: ["p03/topogram"]}


def test_two_patients_never_become_one(tmp_path):
    write_dicom(tmp_path / "all/a", *image(seed=1), number=3, description="t1", PatientID="AA")
    write_dicom(tmp_path / "all/b", *image(seed=2), number=4, description="t2", PatientID="BB")
    write_dicom(tmp_path / "p02", *image(seed=3), description="t1", PatientID="CC")
    (tmp_path / "all/a/0000.dcm").rename(tmp_path / "all/0000.dcm")
    made = guess(discover(tmp_path))
    assert [item.source.name for item in made.items] == ["p02"]
    assert made.left_out == {SEVERAL_PATIENTS: ["all"]}
    with pytest.raises(DataError, match="slices of several patients"):
        read_volume(tmp_path / "all", PLAIN)
    assert_same(read_volume(tmp_path / "all#4", PLAIN), *image(seed=2), atol=1e-3)
    edit(tmp_path / "p02", lambda k, header: setattr(header, "PatientID", "CC" if k else "DD"))
    with pytest.raises(DataError, match="p02: slices of several patients"):
        read_volume(tmp_path / "p02", PLAIN)


@pytest.mark.parametrize(("second", "runs"), [("AA", ["1", "2"]), ("BB", [])])
def test_headers_tell_whether_folders_are_of_one_patient(tmp_path, second, runs):
    for name, patient in (("one", "AA"), ("two", second)):
        write_dicom(tmp_path / "DICOM" / name, *image(), description="t1", PatientID=patient)
    write_dicom(tmp_path / "p09", *image(), description="t1")
    made = guess(discover(tmp_path))
    assert [item.entities.get("run") for item in made.items if item.participant == "DICOM"] == runs
    told = "headers name several patients of what would be sub-DICOM: write a mapping"
    assert made.left_out == ({} if runs else {told: ["DICOM/one", "DICOM/two"]})


def test_headers_tell_studies_of_several_dates(tmp_path):
    for name, words, day in (("a", "t1", "20190304"), ("b", "t2 flair", "20200506")):
        write_dicom(tmp_path / "p01" / name, *image(), description=words, StudyDate=day)
    write_dicom(tmp_path / "p02", *image(), description="t1")
    made = guess(discover(tmp_path))
    assert [item.participant for item in made.items] == ["02"]
    reason = "images of several dates would be one visit of sub-01: write a mapping, with sessions"
    assert made.left_out == {reason: ["p01/a", "p01/b"]}


def test_series_that_no_number_tells_apart_need_folders_of_their_own(tmp_path):
    for name, number in (("a", 3), ("b", 3), ("c", 4)):
        write_dicom(tmp_path / "p01" / name, *image(), number=number, description="t1")
    (tmp_path / "p01/a/0000.dcm").rename(tmp_path / "p01/0000.dcm")
    made = guess(discover(tmp_path))
    assert [item.source.name for item in made.items] == ["p01#4"]
    reason = "several series 3 in one folder: put each into a folder of its own"
    assert made.left_out == {reason: ["p01", "p01"]}
    with pytest.raises(DataError, match="mixed series") as error:
        read_volume(tmp_path / "p01#3", PLAIN)
    assert error.value.hint == "put the slices of each into a folder of its own"
    with pytest.raises(DataError, match="mixed series") as error:
        read_volume(tmp_path / "p01", PLAIN)
    assert error.value.hint == "name one in the mapping, as p01#4"


def test_a_damaged_folder_is_refused_by_a_guess_too(tmp_path):
    write_dicom(tmp_path / "p01", *image(), description="t1")
    write_dicom(tmp_path / "p02", *image(), description="t1")
    (tmp_path / "p02/0005.dcm").write_bytes(b"the scanner was down")
    made = guess(discover(tmp_path))
    assert [item.participant for item in made.items] == ["01"]
    assert ["0005.dcm: no DICOM" in error.message for error in made.refused] == [True]


def one_bad_series(tmp_path, change):
    """Write series 3, a T1w, beside series 4, of which a header is odd, into one folder."""
    for name, number in (("a", 3), ("b", 4)):
        write_dicom(tmp_path / name, *image(seed=number), number=number, description="t1")
    edit(tmp_path / "b", change)
    (tmp_path / "study/p01").mkdir(parents=True)
    for name in ("a", "b"):
        for path in (tmp_path / name).iterdir():
            path.rename(tmp_path / "study/p01" / f"{name}-{path.name}")
    return tmp_path / "study"


def test_a_dose_report_costs_only_itself(tmp_path):
    study = one_bad_series(tmp_path, placeless)
    volume = read_volume(study / "p01#3", PLAIN)
    assert_same(volume, *image(seed=3), atol=1e-3)
    assert len(digest_of(study / "p01#3")) == 64
    for read in (digest_of, lambda source: read_volume(source, PLAIN)):
        with pytest.raises(DataError, match=r"b-0000\.dcm: does not say where its slice lies"):
            read(study / "p01#4")
    with pytest.raises(DataError, match="mixed series, 2 in one folder") as error:
        read_volume(study / "p01", PLAIN)
    assert error.value.hint == "name one in the mapping, as p01#3"
    made = guess(discover(study))
    assert [item.source.name for item in made.items] == ["p01#3"]
    assert (made.left_out, made.refused) == ({NO_PLACE: ["p01"]}, [])


def set_odd(name, text):
    def change(k, header):
        from pydicom.dataelem import RawDataElement
        from pydicom.tag import Tag

        if k == 5 or name == "SeriesNumber":
            tag = Tag(name)
            vr = header[name].VR if name in header else "DS"
            header._dict[tag] = RawDataElement(tag, vr, len(text), text, 0, False, True)

    return change


@pytest.mark.parametrize(
    ("name", "text"),
    [("SeriesNumber", b"12345A"), ("RescaleIntercept", b"0\\1 "), ("ImagePositionPatient", b"0\\0 ")],
)
def test_an_odd_value_in_a_header_is_refused_and_costs_only_its_series(tmp_path, name, text):
    study = one_bad_series(tmp_path, set_odd(name, text))
    assert_same(read_volume(study / "p01#3", PLAIN), *image(seed=3), atol=1e-3)
    made = guess(discover(study))
    assert [item.source.name for item in made.items] == ["p01#3"]
    assert ["damaged DICOM header" in error.message for error in made.refused] == [True]
    for path in (study / "p01").glob("a-*"):
        path.unlink()
    with pytest.raises(DataError, match="damaged DICOM header"):
        digest_of(study / "p01")


def test_a_folder_may_be_called_as_a_series_is(tmp_path):
    folder = write_dicom(tmp_path / "T1#2", *image(seed=2))
    assert_same(read_volume(folder, PLAIN), *image(seed=2), atol=1e-3)


def test_a_folder_among_the_slices_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    folder = write_dicom(tmp_path / "p01", *image(), description="t1")
    walk = dicom.os.walk

    def locked(top, onerror=None):
        if Path(top) == folder:
            onerror(PermissionError(13, "Permission denied", str(folder / "more")))
        return walk(top, onerror=onerror)

    monkeypatch.setattr(dicom.os, "walk", locked)
    with pytest.raises(InputOutputError, match="p01/more: Permission denied"):
        read_volume(folder, PLAIN)
    assert [error.exit_code for error in guess(discover(tmp_path)).refused] == [74]


def test_a_slice_that_cannot_be_read_costs_its_series(tmp_path, monkeypatch):
    write_dicom(tmp_path / "p01", *image(), description="t1")
    write_dicom(tmp_path / "p02", *image(seed=2), description="t1")
    recognized = dicom.recognized

    def locked(path):
        if path.parent.name == "p02":
            raise PermissionError(13, "Permission denied", str(path))
        return recognized(path)

    monkeypatch.setattr(dicom, "recognized", locked)
    made = guess(discover(tmp_path))
    assert [item.participant for item in made.items] == ["01"]
    assert [error.message.endswith("0000.dcm: Permission denied") for error in made.refused] == [True]


def test_a_damaged_slice_or_a_stranger_costs_the_series(tmp_path):
    folder = write_dicom(tmp_path / "series", *image())
    (folder / "notes.txt").write_text("bystanders are passed over")
    read_volume(folder, PLAIN)
    (folder / "0005.dcm").write_bytes(b"the scanner was down")
    with pytest.raises(DataError, match=r"0005\.dcm: no DICOM"):
        read_volume(folder, PLAIN)


def test_a_truncated_slice_is_refused(tmp_path):
    folder = write_dicom(tmp_path / "series", *image())
    path = folder / "0005.dcm"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="series"):
        read_volume(folder, PLAIN)


def test_a_tilted_gantry_is_refused_or_resampled_to_where_things_are(tmp_path):
    degrees = 15.0
    data, affine = ct_head()
    step = affine[:3, 2] + [0, affine[2, 2] * np.tan(np.radians(degrees)), 0]
    folder = write_dicom(tmp_path / "series", data, affine, modality="CT", step=step)
    with pytest.raises(DataError, match=r"gantry tilt of 15\.0 degrees"):
        read_volume(folder, PLAIN, "ct")
    volume = read_volume(folder, ReadOptions(tilt="resample"), "ct")
    assert volume.data.dtype == np.int16
    tilted = affine.copy()
    tilted[:3, 2] = step
    before = (np.argwhere(data > 500) @ tilted[:3, :3].T + tilted[:3, 3]).mean(axis=0)
    after = (np.argwhere(volume.data > 500) @ volume.affine[:3, :3].T + volume.affine[:3, 3]).mean(axis=0)
    assert np.abs(before - after).max() < 0.3  # mm, the skull's middle, of 4 mm voxels
    assert "tilted by 15.0 degrees" in " ".join(volume.said)


def test_headers_alone_say_what_a_folder_holds(tmp_path):
    write_dicom(tmp_path / "s", *image(), number=7, modality="CT", RescaleIntercept=-1024)
    (series,) = series_of(sorted((tmp_path / "s").iterdir()))
    assert (series.number, series.modality, len(series.slices), series.unshifted) == ("7", "CT", 10, False)


def test_slope_and_intercept_are_applied(tmp_path):
    data, affine = ct_head()
    stored = (data + 1024).astype(np.int16)
    folder = write_dicom(tmp_path / "s", stored, affine, modality="CT", RescaleIntercept=-1024)
    volume = read_volume(folder, PLAIN, "ct")
    assert_same(volume, data, affine, atol=1e-3)
    assert (volume.said, volume.sidecar["Units"]) == ((), "HU")
