"""Small images with known geometry."""

import nibabel as nib
import numpy as np
import pytest


def make_image(data, affine=None, code=1):
    image = nib.Nifti1Image(data, np.eye(4) if affine is None else affine)
    image.set_qform(image.affine, code)
    image.set_sform(image.affine, code)
    return image


@pytest.fixture
def oblique():
    """A smooth 40³ image of 3 mm voxels, tilted by 15° about x."""
    c, s = np.cos(np.radians(15)), np.sin(np.radians(15))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * 3
    affine[:3, 3] = (-50, -40, -30)
    x, y, z = np.indices((40, 40, 40))
    data = 500 + 100 * np.sin(x / 6) * np.cos(y / 7) + 50 * np.sin(z / 5)
    return make_image(data.astype(np.float32), affine)
