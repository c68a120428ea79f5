"""A stand-in for a head: a bright ball with shells, and its mask."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.imaging.grid import Grid

SHAPE, SPACING, RADIUS = (50, 50, 26), (2.0, 2.0, 4.0), 40.0


@pytest.fixture(scope="session")
def ball():
    """Return a function that makes the image and the mask of a ball, its centre moved by some millimetres."""

    def make(shift=(0, 0, 0)):
        affine = np.diag([*SPACING, 1.0])
        affine[:3, 3] = -(np.array(SHAPE) - 1) / 2 * SPACING
        points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1))
        distance = np.linalg.norm(points - np.array(shift), axis=-1)
        grid = Grid(affine, SHAPE)
        values = np.where(distance < RADIUS, 200 + 200 * np.cos(distance / 12) ** 2, 0)
        return grid.image(values.astype(np.float32)), grid.image((distance < RADIUS).astype(np.uint8))

    return make


@pytest.fixture
def files(ball, tmp_path):
    """Return a function that saves image and mask of a ball and returns their paths."""

    def make(name, shift=(0, 0, 0)):
        paths = [str(tmp_path / f"{name}_{kind}.nii") for kind in ("image", "mask")]
        for image, path in zip(ball(shift), paths, strict=True):
            nib.save(image, path)
        return paths

    return make
