"""What an image declares is weighed before it is read: bombs cost neither memory nor time."""

import gzip
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.declared import check_declared
from bidsapp.imaging.headers import check_image


def image(shape=(50, 50, 50), dtype=np.int16):
    values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    return nib.Nifti1Image(values, np.diag([3.0, 3, 3, 1]))


def declaring(path, shape, kind=nib.Nifti1Header, **fields):
    """Write a small file whose header declares a shape."""
    header = kind()
    header.set_data_dtype(np.float32)
    header["dim"][: len(shape) + 1] = [len(shape), *shape]
    header["magic"] = b"n+1" if kind is nib.Nifti1Header else header["magic"]
    header["vox_offset"] = 352 if kind is nib.Nifti1Header else 544
    for name, value in fields.items():
        header[name] = value
    content = header.binaryblock + bytes(4096)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Header, nib.Nifti2Header])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_more_than_was_granted_is_refused_before_it_is_allocated(tmp_path, name, kind):
    path = declaring(tmp_path / name, (32000, 32000, 32000), kind)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"declares 32000×32000×32000 voxels, which take 5\.24e\+05 GB") as refused:
        check_image(path, memory_gb=4.0)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    assert "--mem" in refused.value.hint


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_more_than_the_file_can_hold_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="cannot hold 400×400×400 voxels"):
        check_image(declaring(tmp_path / name, (400, 400, 400)), memory_gb=64.0)


def test_a_gzip_file_that_goes_on_and_on_is_left(tmp_path):
    path = tmp_path / "a.nii.gz"
    declared = len(image().to_bytes())
    path.write_bytes(gzip.compress(image().to_bytes() + bytes(40_000_000), 1))
    with pytest.raises(DataError, match="goes on for more than twice what its header declares"):
        check_image(path)
    path.write_bytes(gzip.compress(image().to_bytes() + bytes(1000)))
    assert check_image(path).image.shape == (50, 50, 50)
    assert check_declared(path) == declared


@pytest.mark.parametrize("offset", [1e30, -8.0, float("nan"), 2e9])
def test_voxels_that_begin_nowhere(tmp_path, offset):
    with pytest.raises(DataError, match="said to begin at byte"):
        check_image(declaring(tmp_path / "a.nii.gz", (50, 50, 50), vox_offset=offset))


def test_an_ordinary_image_passes_in_either_byte_order(tmp_path):
    for order in "<>":
        path = tmp_path / "a.nii"
        header = nib.Nifti1Header(endianness=order)
        header.set_data_dtype(np.int16)
        nib.Nifti1Image(np.asarray(image().dataobj), image().affine, header).to_filename(path)
        assert check_declared(path, memory_gb=0.01) == 352 + 2 * 50**3
        with pytest.raises(DataError, match=r"0\.00175 GB of memory, of 0\.001 GB"):
            check_declared(path, memory_gb=0.001)


def test_what_is_no_nifti_is_left_to_others(tmp_path):
    for content in (b"", b"hello", bytes(600)):
        (tmp_path / "a.nii").write_bytes(content)
        assert check_declared(tmp_path / "a.nii") == 0
