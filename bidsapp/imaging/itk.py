"""nibabel ⇄ ANTsPy in memory, and the environment in which ANTs repeats itself.

ITK counts millimetres towards left, posterior, superior; nibabel towards right, anterior, superior. Everything
outside this file and `registration.write_itk` is in nibabel's convention.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

# ANTs sums in the order in which its threads finish, and draws samples from the clock unless told otherwise.
DETERMINISTIC_ENVIRONMENT = {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "ANTS_RANDOM_SEED": "1"}


def import_ants() -> ModuleType:
    """Import ``ants`` so that its results repeat; it reads the environment once, at its first import."""
    os.environ.update(DETERMINISTIC_ENVIRONMENT)
    ants: ModuleType = importlib.import_module("ants")
    return ants


def to_ants(image: nib.Nifti1Image) -> Any:
    """Return a float32 ANTsImage with the geometry of a nibabel image whose directions are orthonormal."""
    affine = LPS @ image.affine
    spacing = voxel_sizes(affine)
    return import_ants().from_numpy(
        np.asarray(image.dataobj, np.float32),
        origin=affine[:3, 3].tolist(),
        spacing=spacing.tolist(),
        direction=affine[:3, :3] / spacing,
    )


def like(data: NDArray[Any], image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return an image of other voxels with the geometry and codes of `image`."""
    return with_codes(nib.Nifti1Image(data, image.affine), image)


def with_codes(image: nib.Nifti1Image, source: nib.Nifti1Image) -> nib.Nifti1Image:
    """Set qform and sform to the image's affine with the code of `source`, and millimetres as its unit."""
    code = int(source.header["sform_code"]) or 1
    image.set_qform(image.affine, code)
    image.set_sform(image.affine, code)
    image.header.set_xyzt_units("mm", "sec")
    return image
