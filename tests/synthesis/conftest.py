"""A cohort small enough to learn from in seconds: the target is a local function of the source."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bidsapp.records import Pair
from bidsapp.scales import IntensityScale
from bidsapp.synthesis.plan import make_plan

SHAPE = (26, 30, 24)


def make_pair(folder, number, *, target=True):
    """Write one visit: smooth noise as source, its blurred, inverted copy as target."""
    random = np.random.default_rng(number)
    source = ndimage.gaussian_filter(random.normal(size=SHAPE), 0.7)
    source = (source / source.std()).astype(np.float32)
    blurred = ndimage.gaussian_filter(source, 1.2)
    goal = (0.3 - blurred / blurred.std()).astype(np.float32)
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:-3, 4:-4, 2:-2] = 1
    affine = np.diag([-2.0, 2, 2, 1])
    visit = f"sub-{number:02d}_ses-1"
    paths = {}
    for name, data in (("source", source), ("target", goal), ("mask", mask)):
        paths[name] = folder / f"{visit}_{name}.nii"
        nib.save(nib.Nifti1Image(data, affine), paths[name])
    return Pair(
        visit=visit,
        participant=f"sub-{number:02d}",
        sources=(paths["source"],),
        mask=paths["mask"],
        target=paths["target"] if target else None,
        target_mask=paths["mask"] if target else None,
        target_scale=IntensityScale("robust", 100.0 + number, 10.0 * number) if target else None,
        fingerprint=f"{number:064d}",
    )


@pytest.fixture
def pairs(tmp_path):
    """Three visits with a target and one without."""
    return [*(make_pair(tmp_path, n) for n in (1, 2, 3)), make_pair(tmp_path, 4, target=False)]


@pytest.fixture
def plan():
    """A plan of few steps on small patches."""
    return make_plan("unet", ("T1w",), "FLAIR", minutes=5, max_steps=12, precision="32-true", seed=0, patch=16)
