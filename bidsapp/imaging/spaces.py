"""A visit's images in a standard space: the template is found once, and each image is interpolated once."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from bidsapp.imaging.grid import Grid, smoothed
from bidsapp.imaging.itk import import_ants, like, to_ants
from bidsapp.imaging.similarity import LEVER_MM, Similarity
from bidsapp.imaging.transforms import LinearTransform, from_ants, write_itk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bidsapp.imaging.registration import Head
    from bidsapp.imaging.template import Template

Kind = Literal["affine", "syn"]

NODS_DEG = (-30.0, -15.0, 0.0, 15.0, 30.0)
SCALES = (0.87, 1.0, 1.1)
LINEAR = {"aff_iterations": (1200, 100), "aff_shrink_factors": (2, 1), "aff_smoothing_sigmas": (1, 0)}
SAMPLED = 0.2
# Of the template at 2 mm: at 8, 4 and 2 mm.
DEFORMABLE = {"reg_iterations": (40, 20, 10), "syn_metric": "mattes", "syn_sampling": 32}
SLOPPY_DEFORMABLE = {**DEFORMABLE, "reg_iterations": (10, 0, 0)}


@dataclass(frozen=True)
class TemplateTransforms:
    """ITK files between a head and a template.

    Attributes
    ----------
    to_template : Path
        Resamples an image of the head on the template's grid: it maps points of the template to the head's. Text
        where it is linear, HDF5 of several transforms where it is not.
    from_template : Path
        The inverse.
    """

    to_template: Path
    from_template: Path


def register_to_template(
    head: Head, template: Template, kind: Kind, folder: Path, *, sloppy: bool = False
) -> TemplateTransforms:
    """Register a head without its skull to a template, by mutual information.

    Parameters
    ----------
    head : Head
        The reference, bias-corrected, and its brain mask on its own grid.
    template : Template
        At 2 mm: a finer one finds nothing more, and takes ten times as long.
    kind : {"affine", "syn"}
        12 degrees of freedom, or these and a diffeomorphism (Avants et al. 2008, doi:10.1016/j.media.2007.06.004).
    folder : Path
        Where the files are written.
    sloppy : bool
        A coarse diffeomorphism.

    Returns
    -------
    TemplateTransforms
    """
    inside = np.asarray(head.mask.dataobj) > 0
    brain = like(np.where(inside, np.asarray(head.image.dataobj, np.float32), 0), head.image)
    start = _start(brain, head.mask, template)
    ants = import_ants()
    with tempfile.TemporaryDirectory() as scratch:
        initial = write_itk(start, Path(scratch) / "start.txt")
        found = ants.registration(
            to_ants(template.image),
            to_ants(brain),
            "SyN" if kind == "syn" else "Affine",
            initial_transform=str(initial),
            outprefix=f"{scratch}/",
            write_composite_transform=kind == "syn",
            aff_random_sampling_rate=SAMPLED,
            **LINEAR,
            **(SLOPPY_DEFORMABLE if sloppy else DEFORMABLE),
        )
        if kind == "syn":
            return TemplateTransforms(
                Path(shutil.move(found["fwdtransforms"], folder / "to.h5")),
                Path(shutil.move(found["invtransforms"], folder / "from.h5")),
            )
        linear = from_ants(ants.read_transform(found["fwdtransforms"][0]))
    return TemplateTransforms(write_itk(linear, folder / "to.txt"), write_itk(linear.inverse, folder / "from.txt"))


def _start(brain: nib.Nifti1Image, mask: nib.Nifti1Image, template: Template) -> LinearTransform:
    """Return a transform with 9 degrees of freedom: the centres on each other, then the best nod and size."""
    similarity = Similarity(template.image, brain, template.mask)
    centred = np.eye(4)
    inside = np.argwhere(np.asarray(mask.dataobj) > 0)
    centred[:3, 3] = apply_affine(mask.affine, inside.mean(axis=0)) - similarity.centre
    steps = [
        np.array([np.radians(nod) * LEVER_MM, 0, 0, 0, 0, 0, *[(scale - 1) * LEVER_MM] * 3])
        for nod in NODS_DEG
        for scale in SCALES
    ]
    starts = [similarity.corrected(LinearTransform(centred), step) for step in steps]
    return similarity.refine(max(starts, key=similarity), scaled=True).transform


def resample_through(
    image: nib.Nifti1Image, grid: Grid, transforms: Sequence[Path], *, fill: float = 0.0
) -> nib.Nifti1Image:
    """Carry an image through a chain of transforms by one cubic B-spline interpolation.

    Parameters
    ----------
    image : Nifti1Image, shape (X, Y, Z)
        On its own grid.
    grid : Grid
        Where to.
    transforms : sequence of Path
        ITK files; the first one starts from the grid's space, the last one ends in the image's.
    fill : float
        Value outside the image's field of view.

    Returns
    -------
    Nifti1Image, float32
        Clamped to the range of the image: a spline overshoots at edges.
    """
    source = like(smoothed(image, grid), image)
    values = _apply(source, grid, transforms, "bSpline", fill)
    covered = _apply(like(np.ones(image.shape, np.float32), image), grid, transforms, "nearestNeighbor", 0.0)
    data = np.asarray(image.dataobj)
    clamped = np.clip(values, float(data.min()), float(data.max()))
    return grid.image(np.where(covered > 0, clamped, np.float32(fill)).astype(np.float32))


def mask_through(mask: nib.Nifti1Image, grid: Grid, transforms: Sequence[Path]) -> nib.Nifti1Image:
    """Carry a mask through a chain of transforms: linear interpolation, cut at one half; uint8."""
    share = _apply(mask, grid, transforms, "linear", 0.0)
    return grid.image((share >= 0.5).astype(np.uint8))


def _apply(
    image: nib.Nifti1Image, grid: Grid, transforms: Sequence[Path], interpolator: str, fill: float
) -> NDArray[np.float32]:
    ants = import_ants()
    target = to_ants(grid.image(np.zeros(grid.shape, np.float32)))
    files = [str(path) for path in transforms]
    moved = ants.apply_transforms(
        target,
        to_ants(image),
        files,
        interpolator=interpolator,
        defaultvalue=fill,
        whichtoinvert=[False] * len(files),
    )
    return np.asarray(moved.numpy(), np.float32)
