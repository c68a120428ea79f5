"""Every format that we can write is read to the same voxels at the same places."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.formats.reading import digest_of, format_of, read_volume
from bidsapp.formats.volume import ReadOptions

from ..fabricated import (
    image,
    oblique,
    write_analyze,
    write_dual_echo,
    write_metaimage,
    write_minc2,
    write_nifti,
    write_nrrd,
    write_parrec,
)

PLAIN = ReadOptions()


def canonical(volume):
    return nib.as_closest_canonical(nib.Nifti1Image(volume.data, volume.affine))


def assert_same(volume, data, affine, atol=1e-4):
    """Whatever the order of its axes, every voxel has its value at its place."""
    found = canonical(volume)
    expected = nib.as_closest_canonical(nib.Nifti1Image(data, affine))
    assert np.array_equal(np.asarray(found.dataobj), np.asarray(expected.dataobj))
    assert np.allclose(found.affine, expected.affine, atol=atol)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("big", [True, False])
@pytest.mark.parametrize("ending", ["mha", "mhd"])
def test_metaimage(tmp_path, packed, big, ending):
    data, affine = image()
    affine = oblique(affine)
    path = write_metaimage(tmp_path / f"a.{ending}", data, affine, packed=packed, big=big)
    volume = read_volume(path, PLAIN)
    assert_same(volume, data, affine)
    assert (format_of(path), volume.data.dtype) == ("MetaImage", np.int16)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior"])
def test_nrrd(tmp_path, packed, space):
    data, affine = image()
    affine = oblique(affine)
    assert_same(
        read_volume(write_nrrd(tmp_path / "a.nrrd", data, affine, packed=packed, space=space), PLAIN), data, affine
    )


@pytest.mark.parametrize("write", [write_metaimage, write_nrrd])
def test_itk_reads_the_same(tmp_path, write):
    from bidsapp.imaging.itk import import_ants

    data, affine = image()
    path = write(tmp_path / ("a.mha" if write is write_metaimage else "a.nrrd"), data, oblique(affine))
    theirs, ours = import_ants().image_read(str(path)), read_volume(path, PLAIN)
    assert np.array_equal(theirs.numpy(), ours.data)
    lps = np.diag([-1, -1, 1]) @ ours.affine[:3]
    assert np.allclose(theirs.origin, lps[:, 3], atol=1e-5)
    assert np.allclose(theirs.direction * theirs.spacing, lps[:, :3], atol=1e-5)


def with_fields(path, mark, *lines):
    """Put lines into a text header, before a mark."""
    head, mark, rest = path.read_bytes().partition(mark)
    path.write_bytes(head + "".join(f"{line}\n" for line in lines).encode() + mark + rest)
    return path


@pytest.mark.parametrize(("skip", "before"), [(-1, 333), (333, 333), (0, 0)])
@pytest.mark.parametrize("packed", [True, False])
def test_metaimage_skips_what_its_header_says(tmp_path, packed, skip, before):
    data, affine = image()
    path = write_metaimage(tmp_path / "a.mhd", data, affine, packed=packed)
    with_fields(path, b"ElementDataFile", f"HeaderSize = {skip}")
    voxels = tmp_path / "a.raw"
    voxels.write_bytes(b"x" * before + voxels.read_bytes())
    if packed and skip < 0:
        with pytest.raises(DataError, match="HeaderSize is -1, but its voxels are packed"):
            read_volume(path, PLAIN)
    else:
        assert_same(read_volume(path, PLAIN), data, affine)


def test_metaimage_in_one_file_that_skips_to_its_last_bytes(tmp_path):
    data, affine = image()
    path = write_metaimage(tmp_path / "a.mha", data, affine, packed=False)
    with_fields(path, b"ElementDataFile", "HeaderSize = -1")
    assert_same(read_volume(path, PLAIN), data, affine)


@pytest.mark.parametrize("spelled", ["{} skip", "{}skip"])
@pytest.mark.parametrize(("lines", "skip"), [(0, -1), (0, 333), (2, 0), (2, 333), (1, -1)])
def test_nrrd_skips_lines_and_then_bytes(tmp_path, spelled, lines, skip):
    data, affine = image()
    path = write_nrrd(tmp_path / "a.nrrd", data, affine, packed=False)
    fields = [f"{spelled.format('line')}: {lines}", f"{spelled.format('byte')}: {skip}", "data file: a.raw"]
    head, _, voxels = with_fields(path, b"encoding", *fields).read_bytes().partition(b"\n\n")
    (tmp_path / "a.nhdr").write_bytes(head + b"\n\n")
    (tmp_path / "a.raw").write_bytes(b"a line\n" * lines + b"x" * (333 if skip else 0) + voxels)
    assert_same(read_volume(tmp_path / "a.nhdr", PLAIN), data, affine)


def test_packed_nrrd_skips_bytes_that_it_has_unpacked(tmp_path):
    import gzip

    data, affine = image()
    path = with_fields(write_nrrd(tmp_path / "a.nrrd", data, affine), b"encoding", "line skip: 1", "byteskip: 9")
    head, mark, packed = path.read_bytes().partition(b"\n\n")
    path.write_bytes(head + mark + b"a line\n" + gzip.compress(b"x" * 9 + gzip.decompress(packed)))
    assert_same(read_volume(path, PLAIN), data, affine)


@pytest.mark.parametrize("field", ["byte skip: -1", "byteskip: 2000000000", "line skip: -1"])
def test_packed_nrrd_skips_neither_backwards_nor_without_end(tmp_path, field):
    path = with_fields(write_nrrd(tmp_path / "a.nrrd", *image()), b"encoding", field)
    with pytest.raises(DataError, match=f"skip is {field.split()[-1]}"):
        read_volume(path, PLAIN)


def test_nrrd_without_a_space_is_refused(tmp_path):
    path = write_nrrd(tmp_path / "a.nrrd", *image(), space="")
    with pytest.raises(DataError, match="names no space"):
        read_volume(path, PLAIN)


def test_minc(tmp_path):
    data, affine = image()
    volume = read_volume(write_minc2(tmp_path / "a.mnc", data, affine), PLAIN)
    assert_same(volume, data.astype(np.float32), affine)


def test_minc_packed_by_gzip(tmp_path):
    import gzip

    data, affine = image()
    path = write_minc2(tmp_path / "a.mnc", data, affine)
    (tmp_path / "b.mnc.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert_same(read_volume(tmp_path / "b.mnc.gz", PLAIN), data.astype(np.float32), affine)


@pytest.mark.parametrize("given", ["a.PAR", "a.REC"])
def test_parrec_is_scaled_as_on_the_console_and_keeps_the_name_to_itself(tmp_path, given):
    data, affine = image()
    write_parrec(tmp_path / "a.PAR", data, affine, slope=2.0, intercept=1.0)
    volume = read_volume(tmp_path / given, PLAIN)
    assert_same(volume, data * 2.0 + 1.0, affine, atol=2e-3)
    assert volume.sidecar == {
        "Manufacturer": "Philips",
        "RepetitionTime": 0.008,
        "EchoTime": 0.0037,
        "FlipAngle": 8.0,
        "InversionTime": 0.9,
        "SliceThickness": 3.0,
    }


def test_parrec_tells_the_protocol_of_the_volume_that_is_chosen(tmp_path):
    (first, affine), (second, _) = image(seed=1), image(seed=2)
    path = write_dual_echo(tmp_path / "a.PAR", first, second, affine)
    density, weighted = (read_volume(path, ReadOptions(volume=volume)) for volume in (0, 1))
    assert_same(density, first, affine, atol=2e-3)
    assert_same(weighted, second, affine, atol=2e-3)
    assert (density.sidecar["EchoTime"], weighted.sidecar["EchoTime"]) == (0.015, 0.09)
    assert density.sidecar["FlipAngle"] == 90
    assert "FlipAngle" not in weighted.sidecar  # its slices have several


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_parrec_may_name_anybody_in_any_encoding(tmp_path, encoding):
    data, affine = image()
    path = write_parrec(tmp_path / "a.PAR", data, affine)
    path.write_bytes(path.read_text().replace("Jane Planted", "Jürgen Müller").encode(encoding))
    assert_same(read_volume(path, PLAIN), data, affine, atol=2e-3)


def test_mgz(tmp_path):
    data, affine = image()
    nib.save(nib.MGHImage(data.astype(np.int32), oblique(affine)), tmp_path / "a.mgz")
    assert_same(read_volume(tmp_path / "a.mgz", PLAIN), data, oblique(affine))


@pytest.mark.parametrize(("side", "axes"), [("radiological", "LAS"), ("neurological", "RAS")])
def test_analyze_is_what_a_person_says_and_says_so(tmp_path, side, axes):
    data, _ = image()
    path = write_analyze(tmp_path / "a.hdr", data)
    with pytest.raises(DataError, match="radiological or neurological"):
        read_volume(path, PLAIN)
    volume = read_volume(path, ReadOptions(handedness=side))
    assert "".join(nib.aff2axcodes(volume.affine)) == axes
    assert np.array_equal(volume.data, data)
    assert np.allclose(np.abs(np.diag(volume.affine)[:3]), (2, 1.5, 3))
    assert f"{side} was stated" in volume.said[0]
    # 0 mm is in the middle, for nothing else is known.
    middle = volume.affine @ [*(np.array(data.shape) - 1) / 2, 1]
    assert np.allclose(middle[:3], 0)


@pytest.mark.parametrize(
    ("stated", "word"), [({"handedness": "Radiological"}, "Radio"), ({"plane": "axial"}, "axial")]
)
def test_a_word_on_analyze_that_nobody_knows_is_refused(tmp_path, stated, word):
    path = write_analyze(tmp_path / "a.hdr", image()[0])
    with pytest.raises(DataError, match=f"a.hdr: '{word}.*' was stated"):
        read_volume(path, ReadOptions(**{"handedness": "radiological", **stated}))


@pytest.mark.parametrize(("plane", "orient", "axes"), [(None, 1, "RSA"), (None, 2, "ASR"), ("sagittal", 0, "ASR")])
def test_planes_of_analyze_follow_the_header_or_a_person(tmp_path, plane, orient, axes):
    path = write_analyze(tmp_path / "a.hdr", image()[0], orient=orient)
    volume = read_volume(path, ReadOptions(handedness="neurological", plane=plane))
    assert "".join(nib.aff2axcodes(volume.affine)) == axes


def test_flipped_planes_of_analyze_are_refused(tmp_path):
    path = write_analyze(tmp_path / "a.hdr", image()[0], orient=3)
    with pytest.raises(DataError, match="orient is 3"):
        read_volume(path, ReadOptions(handedness="neurological"))


def test_nifti_leaves_words_behind_and_keeps_what_a_sidecar_may_tell(tmp_path):
    data, affine = image()
    path = write_nifti(tmp_path / "a.nii.gz", data, oblique(affine))
    (tmp_path / "a.json").write_text('{"EchoTime": 0.003, "PatientName": "Jane", "ProtocolName": "Jane"}')
    volume = read_volume(path, PLAIN)
    assert_same(volume, data, oblique(affine))
    assert volume.sidecar == {"EchoTime": 0.003}


def test_a_sidecar_with_nan_costs_its_field_only(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", *image())
    (tmp_path / "a.json").write_text('{"EchoTime": NaN, "FlipAngle": 8, "InversionTime": 1e999}')
    assert read_volume(path, PLAIN).sidecar == {"FlipAngle": 8}


def test_a_nifti_pair(tmp_path):
    data, affine = image()
    nib.save(nib.Nifti1Pair(data, affine), tmp_path / "a.img")
    for name in ("a.img", "a.hdr"):
        assert_same(read_volume(tmp_path / name, PLAIN), data, affine)


def test_one_of_several_volumes_is_named(tmp_path):
    data, affine = image()
    nib.save(nib.Nifti1Image(np.stack([data, data + 1], axis=-1), affine), tmp_path / "a.nii")
    with pytest.raises(DataError, match="2 volumes"):
        read_volume(tmp_path / "a.nii", PLAIN)
    assert np.array_equal(read_volume(tmp_path / "a.nii", ReadOptions(volume=1)).data, data + 1)
    with pytest.raises(DataError, match="no volume 2"):
        read_volume(tmp_path / "a.nii", ReadOptions(volume=2))


def test_the_digest_covers_all_files_of_an_image(tmp_path):
    write_parrec(tmp_path / "a.PAR", *image())
    before = digest_of(tmp_path / "a.PAR")
    voxels = (tmp_path / "a.REC").read_bytes()
    (tmp_path / "a.REC").write_bytes(voxels[:-1] + bytes([255 - voxels[-1]]))
    assert digest_of(tmp_path / "a.PAR") != before


def test_sheared_axes_are_refused_or_resampled_to_where_things_are(tmp_path):
    shape = (40, 44, 30)
    sheared = np.array([[2.0, 0, 0, -39], [0, 2, 0.6, -50], [0, 0, 2.0, -30], [0, 0, 0, 1]])
    points = np.stack(np.indices(shape), axis=-1) @ sheared[:3, :3].T + sheared[:3, 3]
    blob = 1000 * np.exp(-(((points - [8, -9, 4]) / 12) ** 2).sum(axis=-1))
    path = tmp_path / "a.nii"
    made = nib.Nifti1Image(blob.astype(np.float32), sheared)
    nib.save(made, path)
    with pytest.raises(DataError, match="sheared axes"):
        read_volume(path, PLAIN)
    volume = read_volume(path, ReadOptions(tilt="resample"))
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    placed = np.stack(np.indices(volume.data.shape), axis=-1) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    centre = (placed * volume.data[..., None]).sum(axis=(0, 1, 2)) / volume.data.sum()
    assert np.abs(centre - [8, -9, 4]).max() < 0.05
    assert "tilted by 16.7 degrees" in " ".join(volume.said)
