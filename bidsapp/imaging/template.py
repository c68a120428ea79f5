"""A template laid on a head: where the brain is, when nothing else says so."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from scipy import ndimage

from bidsapp.errors import NoInputError
from bidsapp.home import templateflow_home
from bidsapp.imaging.grid import Grid, common_grid, own_grid, resample, resample_mask
from bidsapp.imaging.similarity import LEVER_MM, Refined, Similarity
from bidsapp.imaging.transforms import LinearTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Templates are found at this resolution, whatever the grids that images are carried to.
SEARCH_SPACING_MM = 2
# What NIfTI calls the space of the MNI 152 templates.
MNI_CODE = 4
BUNDLED = "MNI152NLin2009aSym"
TEMPLATEFLOW_FILES = ("T1w", "desc-brain_mask")
# An adult's brain lies this far below the top of the scalp, and its head is this high.
BRAIN_BELOW_SCALP_MM = 75.0
HEAD_HEIGHT_MM = 150.0
HEAD_SPACING_MM = 4.0
# Starts: nodding angles, shifts backwards and upwards (mm), and scales.
NODS_DEG = (-30.0, -15.0, 0.0, 15.0, 30.0)
BACKWARD_MM = (-20.0, 0.0, 20.0)
UPWARD_MM = (-45.0, -30.0, -15.0, 0.0, 15.0)
SCALES = (0.87, 1.0, 1.1)


@dataclass(frozen=True)
class Template:
    """A T1w brain without its skull, and its mask, on one grid."""

    name: str
    image: nib.Nifti1Image
    mask: nib.Nifti1Image


def load_template(name: str, spacing_mm: int = 1) -> Template:
    """Return a template: nilearn's, MNI152NLin2009aSym, or one that lies in ``TEMPLATEFLOW_HOME``.

    The bundled one is of Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033. Nothing is downloaded.

    Parameters
    ----------
    name : str
        As TemplateFlow has it.
    spacing_mm : int
        Voxel edge.

    Raises
    ------
    NoInputError
        It is not there, at this resolution.
    """
    if name == BUNDLED:
        from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

        image, mask = load_mni152_template(spacing_mm), load_mni152_brain_mask(spacing_mm)
    else:
        image, mask = (nib.Nifti1Image.from_filename(path) for path in _templateflow_files(name, spacing_mm))
    grid = Grid(image.affine, image.shape, MNI_CODE)
    inside = np.asarray(mask.dataobj) > 0
    stripped = np.where(inside, np.asarray(image.dataobj, np.float32), 0)
    return Template(name, grid.image(stripped.astype(np.float32)), grid.image(inside.astype(np.uint8)))


def check_template(name: str, spacing_mm: int) -> None:
    """Raise `NoInputError` where a template is not there at this resolution or at that of the search."""
    if name != BUNDLED:
        for resolution in (spacing_mm, SEARCH_SPACING_MM):
            _templateflow_files(name, resolution)


def _templateflow_files(name: str, spacing_mm: int) -> list[Path]:
    """Return the local files of T1w and brain mask; TemplateFlow marks what it did not fetch by empty ones."""
    files = [
        templateflow_home() / f"tpl-{name}/tpl-{name}_res-{spacing_mm:02d}_{end}.nii.gz"
        for end in TEMPLATEFLOW_FILES
    ]
    for file in files:
        if not file.is_file() or file.stat().st_size == 0:
            raise NoInputError(
                f"{file}: the template is not there, and nothing is downloaded",
                f"fetch it where there is a network: python -c \"from templateflow.api import get; get('{name}', "
                f'resolution={spacing_mm})", and let TEMPLATEFLOW_HOME name its folder; or give {BUNDLED}',
            )
    return files


def template_brain(image: nib.Nifti1Image) -> NDArray[np.bool_]:
    """Return where the brain of the bundled template lies on a head, shape (X, Y, Z)."""
    template = load_template(BUNDLED, SEARCH_SPACING_MM)
    inverse = lay_on_head(template, image).transform.inverse
    return np.asarray(resample_mask(template.mask, own_grid(image), inverse).dataobj) > 0


def lay_on_head(template: Template, image: nib.Nifti1Image) -> Refined:
    """Find a template's brain on a whole head of any MR contrast, 9 degrees of freedom.

    The search starts below the top of the head, with every nod, shift and size of a table; the best start of each
    size is refined. Sizes compete because a brain that is blown up to the scalp is a maximum, too.

    Parameters
    ----------
    template : Template
        Its image is 0 outside the brain.
    image : Nifti1Image, shape (X, Y, Z)
        A head, turned by no more than about 40° from upright.

    Returns
    -------
    Refined
        Maps points of the template's space to points of the image's.
    """
    similarity = Similarity(template.image, image, template.mask)
    plain = np.eye(4)
    plain[:3, 3] = _likely_centre(image) - similarity.centre
    start = LinearTransform(plain)
    steps = [
        np.array([np.radians(nod) * LEVER_MM, 0, 0, 0, back, up, *[(scale - 1) * LEVER_MM] * 3])
        for scale, nod, back, up in product(SCALES, NODS_DEG, BACKWARD_MM, UPWARD_MM)
    ]
    starts = [similarity.corrected(start, step) for step in steps]
    of_a_size = len(starts) // len(SCALES)
    best = [max(starts[first : first + of_a_size], key=similarity) for first in range(0, len(starts), of_a_size)]
    return max((similarity.refine(s, scaled=True) for s in best), key=lambda found: found.similarity)


def _likely_centre(image: nib.Nifti1Image) -> NDArray[np.float64]:
    """Return where the brain of a head that is more or less upright is to be expected, mm."""
    from skimage.filters import threshold_otsu

    coarse = resample(image, common_grid(image, HEAD_SPACING_MM))
    data = ndimage.gaussian_filter(np.asarray(coarse.dataobj), 0.5)
    points = apply_affine(coarse.affine, np.argwhere(data > 0.7 * threshold_otsu(data)))
    top = np.percentile(points[:, 2], 99.8)
    centre = points[points[:, 2] > top - HEAD_HEIGHT_MM].mean(axis=0)
    return np.array([centre[0], centre[1], top - BRAIN_BELOW_SCALP_MM])
