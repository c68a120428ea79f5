"""What we rely on in the tools we build on; a change there must fail here, not in a user's data."""

import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from bidsapp.imaging.grid import common_grid, resample
from bidsapp.imaging.itk import DETERMINISTIC_ENVIRONMENT, import_ants, to_ants
from bidsapp.imaging.transforms import LinearTransform, read_itk, write_itk
from bidsapp.phantom.deformation import rigid


@pytest.fixture
def blob():
    """An oblique image with one bright ball off its centre."""
    affine = rigid(np.array([10.0, 20, -15]), np.array([-30.0, -40, -20])) @ np.diag([2.0, 2, 2, 1])
    x, y, z = np.indices((32, 36, 40))
    data = 1000 * np.exp(-((x - 12) ** 2 + (y - 20) ** 2 + (z - 25) ** 2) / 30)
    image = nib.Nifti1Image(data.astype(np.float32), affine)
    image.set_sform(affine, 1)
    return image


def test_ants_sees_the_geometry_that_nibabel_sees(blob, tmp_path):
    ants = import_ants()
    blob.set_qform(blob.affine, 1)
    nib.save(blob, tmp_path / "x.nii")
    from_file, in_memory = ants.image_read(str(tmp_path / "x.nii")), to_ants(blob)
    assert np.allclose(from_file.direction, in_memory.direction, atol=1e-5)
    assert np.allclose(from_file.origin, in_memory.origin, atol=1e-4)
    assert np.allclose(from_file.spacing, in_memory.spacing, atol=1e-5)


def test_our_transform_files_mean_to_ants_what_they_mean_to_us(blob, tmp_path):
    ants = import_ants()
    transform = LinearTransform(rigid(np.array([5.0, -8, 3]), np.array([4.0, -6, 5])))
    path = write_itk(transform, tmp_path / "t.txt")
    grid = common_grid(blob, 2.0)
    fixed = to_ants(grid.image(np.zeros(grid.shape, np.float32)))
    theirs = ants.apply_transforms(fixed, to_ants(blob), [str(path)], interpolator="linear").numpy()
    ours = resample(blob, grid, read_itk(path)).get_fdata()
    assert np.abs(theirs - ours)[4:-4, 4:-4, 4:-4].max() < 40  # linear against cubic, of 1000


def test_ants_repeats_itself_only_in_our_environment():
    """The environment is what `import_ants` sets before the first import."""
    code = "from bidsapp.imaging.itk import import_ants; import os; import_ants(); print(dict(os.environ))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(f"'{name}': '{value}'" in said for name, value in DETERMINISTIC_ENVIRONMENT.items())


def test_monai_windows_blend_to_one():
    import torch
    from monai.inferers import sliding_window_inference

    out = sliding_window_inference(
        torch.rand(1, 1, 30, 31, 32), (16, 17, 18), 1, torch.ones_like, overlap=0.25, mode="gaussian"
    )
    assert (out - 1).abs().max() < 1e-5
