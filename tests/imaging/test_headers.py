"""The header policy, row by row."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.headers import check_image

SHAPE = (40, 40, 40)


@pytest.fixture
def write(tmp_path):
    """Write an image with chosen voxels and header, and return its path."""

    def write(data=None, *, affine=None, qcode=1, scode=1, qform=None, sform=None, name="scan.nii.gz", **fields):
        data = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) if data is None else data
        affine = np.diag([3.0, 3, 3, 1]) if affine is None else affine
        image = nib.Nifti1Image(data, affine)
        image.set_qform(affine if qform is None else qform, qcode)
        image.set_sform(affine if sform is None else sform, scode)
        if not fields:
            nib.save(image, tmp_path / name)
            return tmp_path / name
        for field, value in fields.items():  # nibabel would mend the header, so its bytes are written here
            image.header[field] = value
        image.header["vox_offset"], image.header["magic"] = 352, b"n+1"
        path = tmp_path / "header.nii"
        path.write_bytes(image.header.binaryblock + bytes(4) + data.tobytes("F"))
        return path

    return write


def shifted(mm):
    affine = np.diag([3.0, 3, 3, 1])
    affine[0, 3] = mm
    return affine


def test_good_header_is_kept_with_its_code(write):
    checked = check_image(write(affine=shifted(-7), scode=4, qcode=4))
    assert checked.decisions == ()
    assert checked.image.get_data_dtype() == np.float32
    assert checked.image.affine[0, 3] == -7
    assert checked.image.header["qform_code"] == checked.image.header["sform_code"] == 4


def test_what_the_file_says_of_itself_is_kept_for_people_to_read(write):
    header = check_image(write(descrip=b"<b>scanner</b>\0rest", scl_slope=2, scl_inter=-5)).header
    assert header == {
        "Matrix": "40 × 40 × 40",
        "Voxels, mm": "3 × 3 × 3",
        "Axes point to": "RAS",
        "Oblique by, degrees": "0.0",
        "Stored as": "int16, times 2 plus -5",
        "qform code": "1",
        "sform code": "1",
        "Description": "<b>scanner</b>",
    }


def test_sform_wins_over_a_qform_50_mm_away(write):
    checked = check_image(write(sform=shifted(50), qform=shifted(0)))
    assert checked.image.affine[0, 3] == 50
    assert np.allclose(checked.image.get_qform(), checked.image.get_sform())
    assert "50.0 mm" in checked.decisions[0]


@pytest.mark.parametrize(("qcode", "scode"), [(1, 0), (0, 1)])
def test_only_one_valid_form_is_copied_to_the_other(write, qcode, scode):
    checked = check_image(write(affine=shifted(9), qcode=qcode, scode=scode))
    assert checked.image.affine[0, 3] == 9
    assert checked.image.header["qform_code"] == checked.image.header["sform_code"] == 1
    assert "Only the" in checked.decisions[0]


def test_no_valid_form_says_left_and_right_are_unverified(write):
    checked = check_image(write(qcode=0, scode=0))
    assert "UNVERIFIED" in checked.decisions[0]
    assert checked.image.header["sform_code"] == 1


def test_nan_quaternion_is_replaced_by_the_sform(write):
    checked = check_image(write(affine=shifted(4), quatern_b=np.nan))
    assert checked.image.affine[0, 3] == 4


def test_nan_quaternion_without_sform_is_refused(write):
    with pytest.raises(DataError, match="neither qform nor sform"):
        check_image(write(quatern_b=np.nan, scode=0))


@pytest.mark.parametrize("edge", [0.0, 1e-30, 1e30])
def test_a_form_of_no_size_is_none(write, edge):
    affine = np.diag([3.0, 3, edge, 1])
    assert check_image(write(sform=affine)).decisions == ("Only the qform is valid; it was copied to the sform.",)
    with pytest.raises(DataError, match="neither qform nor sform"):
        check_image(write(sform=affine, quatern_b=np.nan))


def test_sheared_axes_are_refused(write):
    sheared = np.diag([3.0, 3, 3, 1])
    sheared[0, 1] = 1.0
    with pytest.raises(DataError, match="sheared"):
        check_image(write(sform=sheared, qcode=0))


def test_rounded_directions_become_orthonormal(write):
    rounded = np.diag([3.0, 3, 3, 1])
    rounded[0, 1] = 0.006
    checked = check_image(write(sform=rounded, qcode=0))
    directions = checked.image.affine[:3, :3] / 3
    assert np.abs(directions @ directions.T - np.eye(3)).max() < 1e-5
    centre = [20, 20, 20, 1]
    assert checked.image.affine @ centre == pytest.approx(rounded @ centre, abs=0.003)  # mm
    assert "moved the corners by up to 0.0" in checked.decisions[-1]


def test_fourth_axis_of_one_volume_is_dropped(write):
    checked = check_image(write(np.arange(np.prod(SHAPE), dtype=np.int32).reshape(*SHAPE, 1)))
    assert checked.image.shape == SHAPE
    assert "dropped" in checked.decisions[0]


def test_several_volumes_are_refused(write):
    with pytest.raises(DataError, match="2 volumes"):
        check_image(write(np.zeros((*SHAPE, 2), np.int16)))


def test_few_nan_voxels_become_zero(write):
    data = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    data[0, 0, :5] = np.nan
    checked = check_image(write(data))
    assert "5 NaN" in checked.decisions[0]
    assert checked.image.get_fdata()[0, 0, :5].tolist() == [0] * 5


def test_many_nan_voxels_are_refused(write):
    data = np.ones(SHAPE, np.float32)
    data[:2] = np.nan
    with pytest.raises(DataError, match="5% of the voxels"):
        check_image(write(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.full(SHAPE, 7, np.int16), "constant"),
        (np.zeros((40, 40), np.int16), "fewer than three"),
        (np.zeros((40, 40, 1), np.int16), "fewer than three"),
        (np.zeros(SHAPE, np.complex64), "complex"),
        (np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), "RGB"),
    ],
)
def test_useless_voxels_are_refused(write, data, reason):
    with pytest.raises(DataError, match=reason):
        check_image(write(data))


@pytest.mark.parametrize(("size", "reason"), [(9.0, "voxels of 9.0 mm"), (1.5, "field of view of 60 mm")])
def test_useless_geometry_is_refused(write, size, reason):
    with pytest.raises(DataError, match=reason):
        check_image(write(affine=np.diag([size, size, size, 1])))


def test_integers_are_read_through_their_scaling(write):
    path = write()
    image = nib.load(path)
    image.header.set_slope_inter(0.5, -10)
    data = np.asarray(image.dataobj)
    scaled = nib.Nifti1Image(data, image.affine, image.header)
    nib.save(scaled, path)
    assert np.allclose(check_image(path).image.get_fdata(), nib.load(path).get_fdata())


def test_dangling_link_names_the_command_that_fetches(tmp_path):
    link = tmp_path / "scan.nii.gz"
    link.symlink_to(tmp_path / "annex/object")
    with pytest.raises(DataError, match=f"datalad get {link}"):
        check_image(link)


def test_link_is_read_through_and_has_the_fingerprint_of_its_content(write, tmp_path):
    path = write()
    link = tmp_path / "link.nii.gz"
    link.symlink_to(path)
    assert check_image(link).fingerprint == check_image(path).fingerprint


def test_truncated_file_is_refused(write):
    path = write(np.random.default_rng(0).integers(0, 9999, SHAPE).astype(np.int16), name="scan.nii")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"scan\.nii"):
        check_image(path)


def test_something_else_is_refused(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(b"hello"))
    with pytest.raises(DataError, match="no readable NIfTI"):
        check_image(path)


def test_fingerprint_follows_the_voxels_not_the_file(write):
    a = check_image(write(name="a.nii.gz")).fingerprint
    assert check_image(write(name="b.nii", affine=shifted(3))).fingerprint == a
    assert check_image(write(np.arange(64000, dtype=np.int16).reshape(SHAPE)[::-1])).fingerprint != a


@pytest.mark.parametrize("name", ["complex", "ct_perfusion", "shear"])
def test_odd_files_of_the_wild_are_refused_by_name(test_data, name):
    with pytest.raises(DataError, match=rf"{name}\.nii\.gz"):
        check_image(test_data / f"formats/nifti-odd/{name}.nii.gz")
