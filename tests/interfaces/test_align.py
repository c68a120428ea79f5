"""Steps that bring a scan to the common grid."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

from bidsapp.imaging.grid import Grid, resample
from bidsapp.imaging.transforms import LinearTransform, read_itk, write_itk
from bidsapp.interfaces.align import HeadMask, Normalize, Register, Resample
from bidsapp.phantom.deformation import rigid

SHIFT = (6.0, -9.0, 4.0)


def centre(path):
    """Centre of mass, mm."""
    image = nib.load(path)
    data = image.get_fdata()
    return apply_affine(image.affine, np.argwhere(data).T @ data[data != 0] / data.sum())


@pytest.fixture
def transform(tmp_path):
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT
    return str(write_itk(LinearTransform(matrix), tmp_path / "given.txt"))


def test_image_and_mask_are_carried_by_the_transform(files, transform, tmp_path):
    reference, _ = files("T1w")
    image, mask = files("FLAIR", SHIFT)
    step = Resample(in_file=image, mask=mask, reference=reference, transform=transform, resolution="2")
    outputs = step.run(cwd=str(tmp_path)).outputs
    for path in (outputs.out_file, outputs.mask):
        assert voxel_sizes(nib.load(path).affine) == pytest.approx([2, 2, 2])
        assert centre(path) == pytest.approx([0, 0, 0], abs=0.05)  # mm; it was 11.5 mm away
    assert nib.load(outputs.mask).get_data_dtype() == np.uint8


def test_a_given_transform_is_taken_as_it_is(files, transform, tmp_path):
    (fixed, fixed_mask), (moving, moving_mask) = files("T1w"), files("FLAIR")
    step = Register(fixed=fixed, fixed_mask=fixed_mask, moving=moving, moving_mask=moving_mask, given=transform)
    found = read_itk(tmp_path / step.run(cwd=str(tmp_path)).outputs.transform)
    assert found.matrix[:3, 3] == pytest.approx(SHIFT)


def test_the_reference_stays_where_it_is(files, tmp_path):
    image, mask = files("T1w", SHIFT)
    outputs = Resample(in_file=image, mask=mask, reference=image, resolution="2").run(cwd=str(tmp_path)).outputs
    assert centre(outputs.out_file) == pytest.approx(SHIFT, abs=0.05)


def test_a_checkerboard_is_interpolated_once(tmp_path):
    board = 1000.0 * ((np.indices((48, 44, 30)) // 3).sum(axis=0) % 2)
    image = nib.Nifti1Image(board.astype(np.float32), np.diag([2.0, 2.0, 3.0, 1.0]))
    motion = LinearTransform(rigid(np.array([7.0, -4, 11]), np.array([3.3, -2.1, 5.2])))
    reference, scan, mask = (str(tmp_path / f"{name}.nii") for name in ("reference", "scan", "mask"))
    for path, content in ((reference, board), (scan, board), (mask, board > 0)):
        nib.save(nib.Nifti1Image(np.asarray(content, np.float32), image.affine), path)
    moved = str(write_itk(motion, tmp_path / "motion.txt"))
    step = Resample(in_file=scan, mask=mask, reference=reference, transform=moved, resolution="1")
    found = nib.load(step.run(cwd=str(tmp_path)).outputs.out_file)

    points = apply_affine(np.linalg.inv(image.affine) @ motion.matrix @ found.affine, np.indices(found.shape).T).T
    inside = np.all([(p > 4) & (p < n - 5) for p, n in zip(points, board.shape, strict=True)], axis=0)
    once = ndimage.map_coordinates(board, points, order=3, mode="nearest")
    twice = resample(resample(image, Grid(found.affine, found.shape)), Grid(found.affine, found.shape), motion)
    ours, twice = found.get_fdata()[inside], twice.get_fdata()[inside]
    assert np.abs(ours - np.clip(once[inside], 0, 1000)).max() < 0.5
    assert np.sqrt(np.mean((ours - twice) ** 2)) > 10  # a second interpolation would cost 1.7 % of the range


def test_the_head_is_told_from_the_air(files, tmp_path):
    image, mask = files("T1w")
    found = nib.load(HeadMask(in_file=image).run(cwd=str(tmp_path)).outputs.out_file)
    ball = nib.load(mask).get_fdata()
    assert found.get_data_dtype() == np.uint8
    assert (found.get_fdata() * ball).sum() > 0.99 * ball.sum()
    assert found.get_fdata().sum() < 1.3 * ball.sum()  # it is smoothed by 2 mm: no more than 4 mm beyond


def test_a_normalized_image_is_zero_at_the_median_and_one_wide(files, tmp_path):
    image, mask = files("T1w")
    outputs = Normalize(in_file=image, mask=mask).run(cwd=str(tmp_path)).outputs
    inside = nib.load(mask).get_fdata() > 0
    z, x = (nib.load(path).get_fdata()[inside] for path in (outputs.out_file, image))
    assert np.percentile(z, [25, 50, 75]) @ [-1, 0, 1] == pytest.approx(1, abs=1e-5)
    assert np.median(z) == pytest.approx(0, abs=1e-5)
    assert z * outputs.scale["scale"] + outputs.scale["offset"] == pytest.approx(x, abs=1e-3)


def test_a_ct_is_measured_within_its_field_of_view(ball, transform, tmp_path):
    bright, inside = ball()
    ct = np.where(inside.get_fdata() > 0, 40, -1000).astype(np.float32)
    paths = [str(tmp_path / f"{name}.nii") for name in ("common", "acquired")]
    for path, image in zip(paths, (ct, ct[:, 10:]), strict=True):
        affine = bright.affine.copy()
        affine[1, 3] += 2.0 * (ct.shape[1] - image.shape[1])
        nib.save(nib.Nifti1Image(image, affine), path)
    outputs = HeadMask(in_file=paths[0], scan=paths[1], transform=transform).run(cwd=str(tmp_path)).outputs
    head, ball = (image.get_fdata() for image in (nib.load(outputs.out_file), inside))
    assert 2 * (head * ball).sum() > 0.97 * (head.sum() + ball.sum())
    measured = nib.load(outputs.measured)
    assert measured.get_data_dtype() == np.uint8
    seen = np.flatnonzero(measured.get_fdata().any(axis=(0, 2)))
    # The scan lacks 10 rows, its outermost voxel reaches half a row further, and the transform moves it by 4.5.
    assert (seen[0], seen[-1]) == (10 - 0.5 + 4.5, ct.shape[1] - 1)


def test_of_a_ct_without_its_skull_the_brain_alone_is_measured(files, transform, tmp_path):
    image, mask = files("ct")
    step = HeadMask(in_file=image, scan=image, transform=transform, mask=mask, stripped=True)
    outputs = step.run(cwd=str(tmp_path)).outputs
    for found in map(nib.load, (outputs.out_file, outputs.measured)):
        assert found.get_data_dtype() == np.uint8
        assert np.array_equal(found.get_fdata(), nib.load(mask).get_fdata())
