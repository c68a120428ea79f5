"""Brains of a few voxels, different from one another, with what is predicted of them: to take signatures of."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from bidsapp.records import Pair
from bidsapp.synthesis.inference import Predicted
from bidsapp.synthesis.pairs import AIR, Volume
from bidsapp.synthesis.plan import make_plan

PLAN = make_plan("unet", ("T1w",), "FLAIR", minutes=1, max_steps=1, precision="32-true", seed=0, patch=16)
AFFINE = np.diag([4.0, 4, 4, 1])
SHAPE = (44, 52, 44)


def head(seed):
    """Return a head with a bright front, a dark middle, and a prediction that is like its target."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) - n / 2 for n in SHAPE), indexing="ij"))
    radii = np.array([15.5, 20, 16.5]) * random.normal(1, 0.02, 3)
    x, y, z = grid / radii[:, None, None, None]
    depth = np.sqrt(x**2 + y**2 + z**2)
    mask = (depth < 1) & (z > -0.7)
    texture = ndimage.gaussian_filter(random.normal(size=SHAPE), 1)
    source = 0.6 * y + 0.4 * z - 1.5 * (depth < 0.4) + 0.8 * texture / texture.std() * 0.3
    target = ndimage.gaussian_filter(-source, 0.5)
    image = ndimage.gaussian_filter(target, 0.7) + 0.02 * random.normal(size=SHAPE)
    volume = of(source, mask)
    return replace(volume, target=target.astype(np.float32), loss_mask=mask), image.astype(np.float32)


def of(source, mask, affine=AFFINE):
    """Return the volume of a normalized source in a mask."""
    inputs = np.where(mask, source + AIR, 0)[None].astype(np.float32)
    pair = Pair("sub-01", "sub-01", ("t1.nii",), "mask.nii")
    full = tuple(n + 8 for n in mask.shape)
    box = tuple(slice(4, 4 + n) for n in mask.shape)
    return Volume(pair, inputs, mask, None, None, affine, full, affine, 1, box)


def predicted(image, scale=0.2):
    """Return a prediction with one scale everywhere."""
    image = np.ascontiguousarray(image, np.float32)
    return Predicted(image, np.full(image.shape, scale, np.float32))
