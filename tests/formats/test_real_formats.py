"""What other projects' files hold is where it belongs: orientation, spacing and values as numbers."""

import json
import shutil
import tarfile

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import voxel_sizes

from bidsapp.errors import DataError
from bidsapp.formats.reading import read_volume
from bidsapp.formats.volume import ReadOptions

PLAIN = ReadOptions()


@pytest.fixture
def formats(test_data):
    return test_data / "formats"


def world(volume, mask):
    return np.argwhere(mask) @ volume.affine[:3, :3].T + volume.affine[:3, 3]


def test_the_letters_of_minc_can_be_read(formats):
    """An L at the left and an R at the right are written into every axial slice, upright as seen from above."""
    volume = read_volume(formats / "minc/RAS.mnc", PLAIN)
    assert "".join(nib.aff2axcodes(volume.affine)) == "SAR"
    assert np.allclose(voxel_sizes(volume.affine), (2.3852, 2.3898, 2.3665), atol=1e-4) or np.allclose(
        voxel_sizes(volume.affine), (2.3665, 2.3898, 2.3852), atol=1e-4
    )
    points = world(volume, volume.data > 92)
    left, right = points[points[:, 0] < -5], points[points[:, 0] > 5]
    assert min(len(left), len(right)) > 9000
    # The L's stem is at its left and its foot is behind; the R's stem is at its left, its bowl in front.
    width = np.ptp(left[:, 0])
    stem = left[left[:, 0] < left[:, 0].min() + width / 5]
    foot = left[left[:, 0] > left[:, 0].max() - width / 3]
    assert np.ptp(stem[:, 1]) > 3 * np.ptp(foot[:, 1])
    assert foot[:, 1].max() < np.median(stem[:, 1])
    beyond = right[right[:, 0] > right[:, 0].min() + np.ptp(right[:, 0]) / 5]
    middle = (right[:, 1].max() + right[:, 1].min()) / 2
    assert (beyond[:, 1] > middle).mean() > 0.5


def test_the_brain_of_minc_stands_upright(formats):
    """The cerebellum is behind and below: the back half reaches lower than the front half."""
    volume = read_volume(formats / "minc/RAS.mnc", PLAIN)
    points = world(volume, (volume.data > 20) & (volume.data < 90))
    front, back = points[points[:, 1] > 30], points[points[:, 1] < -30]
    assert back[:, 2].min() < front[:, 2].min() - 10


@pytest.mark.parametrize(
    ("name", "axes", "sizes", "largest"),
    [("corM1.mnc", "PSL", (3.6, 3.25, 3.25), 1716), ("sag.mnc", "LSP", (3.6, 3.25, 3.25), 1927)],
)
def test_minc_1_and_2(formats, name, axes, sizes, largest):
    volume = read_volume(formats / "minc" / name, PLAIN)
    assert "".join(nib.aff2axcodes(volume.affine)) == axes
    assert np.allclose(voxel_sizes(volume.affine), sizes, atol=1e-3)
    assert volume.data.max() == pytest.approx(largest)


def test_parrec(formats):
    path = formats / "parrec/phantom_EPI_asc_CLEAR_2_1.PAR"
    with pytest.raises(DataError, match="3 volumes"):
        read_volume(path, PLAIN)
    volume = read_volume(path, ReadOptions(volume=0))
    assert "".join(nib.aff2axcodes(volume.affine)) == "LPS"
    assert np.allclose(voxel_sizes(volume.affine), (3.75, 3.75, 8.0), atol=1e-3)
    raw = np.fromfile(path.with_suffix(".REC"), "<u2").reshape((64, 64, 9, 3), order="F")
    assert np.allclose(volume.data, raw[..., 0] * 1.29035, rtol=1e-6)
    # The middle of the volume is where the scanner's protocol has it (ap, fh, rl), left and posterior positive.
    middle = volume.affine @ [31.5, 31.5, 4, 1]
    assert np.allclose(middle[:3], (16.032, -2.508, 30.339), atol=4)


def test_metaimage_is_what_itk_reads(formats):
    from bidsapp.imaging.itk import import_ants

    path = formats / "metaimage/mha.mha"
    ours, theirs = read_volume(path, PLAIN), import_ants().image_read(str(path))
    assert ours.data.shape == (64, 64, 37)
    assert np.array_equal(ours.data, theirs.numpy())
    lps = np.diag([-1, -1, 1]) @ ours.affine[:3]
    assert np.allclose(theirs.origin, lps[:, 3], atol=1e-4)
    assert np.allclose(theirs.direction * theirs.spacing, lps[:, :3], atol=1e-4)
    assert "".join(nib.aff2axcodes(ours.affine)) == "LAS"


def test_a_brain_stored_both_ways_round_is_one_brain(formats):
    left, right = (read_volume(formats / f"analyze/mni{side}.nii.gz", PLAIN) for side in ("LR", "RL"))
    assert [nib.aff2axcodes(v.affine)[0] for v in (left, right)] == ["L", "R"]
    assert np.array_equal(left.data, right.data[::-1])
    a, b = (nib.as_closest_canonical(nib.Nifti1Image(v.data, v.affine)) for v in (left, right))
    assert np.array_equal(a.affine, b.affine)
    assert np.array_equal(np.asarray(a.dataobj), np.asarray(b.dataobj))


def test_analyze_lies_on_the_brain_that_says_which_way_it_is(formats):
    """The averaged brain in Analyze is the one in NIfTI: the same place when it is called radiological."""
    path, truth = formats / "analyze/avg152T1.hdr.gz", read_volume(formats / "analyze/mniLR.nii.gz", PLAIN)
    with pytest.raises(DataError, match="radiological or neurological"):
        read_volume(path, PLAIN)
    found = read_volume(path, ReadOptions(handedness="radiological"))
    assert np.allclose(found.affine, truth.affine)
    other = read_volume(path, ReadOptions(handedness="neurological"))
    assert nib.aff2axcodes(other.affine)[0] == "R"
    agreement = np.corrcoef(found.data.ravel(), truth.data.ravel())[0, 1]
    assert agreement > np.corrcoef(found.data[::-1].ravel(), truth.data.ravel())[0, 1]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("shear", "sheared axes"), ("complex", "a complex image"), ("ct_perfusion", "an RGB image")],
)
def test_odd_nifti_is_refused_by_name(formats, name, reason):
    with pytest.raises(DataError, match=reason):
        read_volume(formats / f"nifti-odd/{name}.nii.gz", PLAIN)


def test_a_tilted_ct_in_nifti_can_be_resampled(formats):
    volume = read_volume(formats / "nifti-odd/shear.nii.gz", ReadOptions(tilt="resample"), "ct")
    axes = volume.affine[:3, :3] / voxel_sizes(volume.affine)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    source = nib.load(formats / "nifti-odd/shear.nii.gz")
    before = np.argwhere(source.get_fdata() > 0) @ source.affine[:3, :3].T + source.affine[:3, 3]
    assert np.abs(world(volume, volume.data > 0).mean(axis=0) - before.mean(axis=0)).max() < 0.5


@pytest.fixture
def unpacked(formats, tmp_path):
    pytest.importorskip("dcm2niix")

    def unpack(name):
        with tarfile.open(formats / f"{name}.tar.gz") as archive:
            archive.extractall(tmp_path / name, filter="data")
        return tmp_path / name

    return unpack


def test_dicom_mr(unpacked):
    from pydicom import dcmread

    folder = unpacked("dicom-mr-t1w")
    volume = read_volume(folder, PLAIN, "T1w")
    assert volume.data.shape == (274, 384, 24)
    assert np.allclose(voxel_sizes(volume.affine), (0.7, 0.6667, 0.6667), atol=1e-3)
    first = dcmread(min(folder.rglob("*.dcm")))
    # The first voxel of the file is where its header says, in left-posterior-superior.
    place = np.linalg.inv(volume.affine) @ [*(np.array(first.ImagePositionPatient, float) * (-1, -1, 1)), 1]
    index = tuple(np.rint(place[:3]).astype(int))
    assert np.allclose(place[:3], index, atol=0.01)
    assert volume.data[index] == first.pixel_array[0, 0]
    row, column = first.pixel_array.shape[0] // 2, first.pixel_array.shape[1] // 2
    assert volume.data[index[0] + column, index[1] - row, index[2]] == first.pixel_array[row, column]
    assert not {"SeriesDescription", "StudyDescription", "AcquisitionTime"} & set(volume.sidecar)


def test_dicom_ct_with_uneven_gaps_is_refused_by_name(unpacked):
    with pytest.raises(DataError, match=r"uneven gaps between slices, 1\.1 to 7\.0 mm"):
        read_volume(unpacked("dicom-ct-tilted"), ReadOptions(tilt="resample"), "ct")


def test_a_ct_head_stored_1024_too_high(formats, tmp_path):
    pytest.importorskip("dcm2niix")
    from pydicom import dcmread

    folder = shutil.copytree(formats / "dicom-ct-head", tmp_path / "ct")
    volume = read_volume(folder, PLAIN, "ct")
    slices = [dcmread(path) for path in folder.iterdir()]
    stored = np.stack([s.pixel_array for s in sorted(slices, key=lambda s: float(s.ImagePositionPatient[2]))])
    assert np.array_equal(volume.data.transpose(2, 1, 0)[:, ::-1] + 1024, stored)
    assert volume.data.max() == 3926 - 1024
    assert "1024 was subtracted" in volume.said[0]
    assert json.loads(json.dumps(dict(volume.sidecar)))["HounsfieldShift"] == -1024
    values, counts = np.unique(volume.data, return_counts=True)
    assert values[counts.argmax()] == -1024
    # Inside the circle that was reconstructed this old scanner stored air about 80 too high, and so it stays.
    circle = volume.data[(volume.data > -1024) & (volume.data < -700)]
    assert np.median(circle) == pytest.approx(-915, abs=10)
