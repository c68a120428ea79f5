"""Inputs as people have them: each is read as what it is, or refused by name."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.headers import check_image
from bidsapp.imaging.itk import to_ants

SHAPE = (34, 36, 38)
SIZE = 3.0
VALUES = np.random.default_rng(0).integers(0, 120, SHAPE)
AFFINE = np.array([[SIZE, 0, 0, -50], [0, SIZE, 0, -40], [0, 0, SIZE, -60], [0, 0, 0, 1]])


def saved(path, data=VALUES, affine=AFFINE, kind=nib.Nifti1Image, dtype=None):
    image = kind(np.asarray(data, dtype), affine, dtype=dtype)
    image.set_qform(affine, 1) if dtype is None else None
    nib.save(image, path)
    return path


def rotated(axis, degrees):
    from scipy.spatial.transform import Rotation

    affine = AFFINE.copy()
    affine[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.array(axis, float)).as_matrix() * SIZE
    return affine


DTYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_every_type_on_disk_is_read_and_accepted_by_ants(tmp_path, dtype, ending):
    image = check_image(saved(tmp_path / f"a.{ending}", VALUES, dtype=dtype)).image
    assert np.array_equal(image.get_fdata(), VALUES)
    assert np.array_equal(to_ants(image).numpy(), VALUES)


def test_big_endian_and_nifti2_are_read(tmp_path):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    big = nib.Nifti1Image(VALUES.astype(">i2"), AFFINE, header)
    nib.save(big, tmp_path / "big.nii")
    two = saved(tmp_path / "two.nii", VALUES.astype(np.int16), kind=nib.Nifti2Image)
    for path in (tmp_path / "big.nii", two):
        assert np.array_equal(check_image(path).image.get_fdata(), VALUES)


@pytest.mark.parametrize("axes", ["RAS", "LAS", "LPS", "PSR", "SAL", "ILP"])
def test_orientation_is_kept_and_points_stay_where_they_are(tmp_path, axes):
    source = nib.Nifti1Image(VALUES.astype(np.int16), AFFINE)
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes)
    )
    turned = source.as_reoriented(turn)
    checked = check_image(saved(tmp_path / "a.nii", np.asarray(turned.dataobj), turned.affine)).image
    assert "".join(nib.aff2axcodes(checked.affine)) == axes
    brightest = [nib.affines.apply_affine(i.affine, np.argwhere(i.get_fdata() == 119)) for i in (source, checked)]
    assert np.allclose(*(points[np.lexsort(points.T)] for points in brightest), atol=1e-4)


@pytest.mark.parametrize(("axis", "degrees"), [((1, 0, 0), 16), ((0, 1, 0), -40), ((0.6, 0, 0.8), 73)])
def test_oblique_images_keep_their_obliquity(tmp_path, axis, degrees):
    affine = rotated(axis, degrees)
    checked = check_image(saved(tmp_path / "a.nii", VALUES.astype(np.int16), affine)).image
    assert np.allclose(checked.affine, affine, atol=1e-4)
    ours = to_ants(checked)
    lps = np.diag([-1, -1, 1]) @ affine[:3, :3] / SIZE
    assert np.allclose(ours.direction, lps, atol=1e-5)


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, -3.0), (2.0, 0.0), (1e-4, 7.0)])
def test_scaling_is_applied(tmp_path, slope, intercept):
    image = nib.Nifti1Image(VALUES.astype(np.int16), AFFINE)
    image.header.set_slope_inter(slope, intercept)
    path = tmp_path / "a.nii"
    with nib.openers.ImageOpener(path, "wb") as file:
        image.header["vox_offset"], image.header["magic"] = 352, b"n+1"
        file.write(image.header.binaryblock + bytes(4) + VALUES.astype(np.int16).tobytes("F"))
    assert np.allclose(check_image(path).image.get_fdata(), VALUES * slope + intercept, rtol=1e-6)


def test_axes_of_length_one_are_dropped(tmp_path):
    checked = check_image(saved(tmp_path / "a.nii", VALUES.astype(np.int16).reshape(*SHAPE, 1, 1)))
    assert checked.image.shape == SHAPE


REFUSED = {
    "a slice": (VALUES[:, :, :1], AFFINE, "fewer than three"),
    "a plane": (VALUES[:, :, 0], AFFINE, "fewer than three"),
    "a series": (np.stack([VALUES] * 3, axis=-1), AFFINE, "3 volumes"),
    "vectors": (np.stack([VALUES] * 2, axis=-1)[..., None, :], AFFINE, "2 volumes"),
    "metres for millimetres": (VALUES, np.diag([0.003, 0.003, 0.003, 1]), "field of view"),
    "a coarse scout": (VALUES, np.diag([9.0, 3, 3, 1]), "voxels of 9.0 mm"),
    "a slab": (VALUES[:, :, :12], AFFINE, "field of view of 36 mm"),
    "nothing": (VALUES * 0, AFFINE, "constant image"),
    "one value": (VALUES * 0 + 7, AFFINE, "constant image"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_head_is_refused_by_name(tmp_path, what):
    data, affine, reason = REFUSED[what]
    path = saved(tmp_path / "odd.nii.gz", data.astype(np.int16), affine)
    with pytest.raises(DataError, match=reason) as error:
        check_image(path)
    assert str(path) in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.nii", b""),
        ("empty.nii.gz", b""),
        ("text.nii.gz", b"the scanner was down"),
        ("html.nii", b"<html>404</html>" * 40),
        ("pointer.nii.gz", b"/annex/objects/SHA256E-s1--0.nii.gz\n"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=name):
        check_image(path)


@pytest.mark.parametrize("place", ["header", "voxels", "end"])
def test_a_damaged_file_is_refused_wherever_the_damage_is(tmp_path, place):
    path = saved(tmp_path / "damaged.nii.gz", VALUES.astype(np.int16))
    content = bytearray(path.read_bytes())
    start = {"header": 15, "voxels": len(content) // 2, "end": len(content) - 8}[place]
    content[start : start + 4] = bytes(255 - byte for byte in content[start : start + 4])
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.nii\.gz"):
        check_image(path)


DAMAGED_HEADERS = {
    "a quaternion of length 1.3 and no sform": {"quatern_b": 0.9, "quatern_c": 0.9, "sform_code": 0},
    "no voxel sizes": {"pixdim": [1, np.nan, 3, 3, 0, 0, 0, 0], "qform_code": 0, "sform_code": 0},
    "endless voxels": {"pixdim": [1, np.inf, 3, 3, 0, 0, 0, 0], "qform_code": 0, "sform_code": 0},
    "an offset that is no number": {"vox_offset": np.nan},
    "an offset beyond the end": {"vox_offset": 1e9},
    "no intercept": {"scl_slope": 1, "scl_inter": np.nan},
    "an unknown type": {"datatype": 9999},
    "more voxels than memory": {"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]},
    "negative dimensions": {"dim": [3, -5, 36, 38, 1, 1, 1, 1]},
    "ten dimensions": {"dim": [9, 34, 36, 38, 1, 1, 1, 1]},
    "a wrong magic": {"magic": b"xx"},
}


@pytest.mark.parametrize("what", DAMAGED_HEADERS)
def test_a_damaged_header_is_refused_by_name(tmp_path, what):
    image = nib.Nifti1Image(VALUES.astype(np.int16), AFFINE)
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE, 1)
    image.header["vox_offset"], image.header["magic"] = 352, b"n+1"
    for field, value in DAMAGED_HEADERS[what].items():
        image.header[field] = value
    path = tmp_path / "odd.nii"
    path.write_bytes(image.header.binaryblock + bytes(4) + VALUES.astype(np.int16).tobytes("F"))
    with pytest.raises(DataError, match=r"odd\.nii"):
        check_image(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("shear.nii.gz", "sheared"), ("complex.nii.gz", "complex"), ("ct_perfusion.nii.gz", "RGB")],
)
def test_odd_images_of_other_projects_are_refused(test_data, name, reason):
    with pytest.raises(DataError, match=reason):
        check_image(test_data / "formats/nifti-odd" / name)
