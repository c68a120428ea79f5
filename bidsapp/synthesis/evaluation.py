"""What a visit's prediction is measured by, given what is known of the visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from nibabel.affines import voxel_sizes

from bidsapp.errors import DataError
from bidsapp.imaging.ct import AIR_HU, MAX_HU
from bidsapp.imaging.tissue import intensity_classes
from bidsapp.synthesis.metrics import agreement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bidsapp.records import Plan
    from bidsapp.synthesis.metrics import Agreement
    from bidsapp.synthesis.pairs import Volume

TISSUE_CONTRAST = "T1w"


def measure(volume: Volume, image: NDArray[np.float32], plan: Plan) -> Agreement | None:
    """Measure a cropped prediction against a volume's target.

    Parameters
    ----------
    volume : Volume
        A visit.
    image : ndarray, shape (X, Y, Z)
        Its prediction, cropped like the volume, in normalized units.
    plan : Plan
        Which contrasts the volume holds.

    Returns
    -------
    Agreement or None
        ``None`` where the visit lacks the target.
    """
    if volume.target is None or volume.loss_mask is None or not volume.loss_mask.any():
        return None
    target, scale, hounsfield = volume.target, volume.pair.target_scale, volume.pair.hounsfield
    if scale is not None and hounsfield:
        image, target = np.clip(scale.inverse(image), AIR_HU, MAX_HU), scale.inverse(target)  # as it is written
    return agreement(
        image,
        target,
        volume.loss_mask,
        spacing=voxel_sizes(volume.affine),
        tissues=None if hounsfield else _tissues(volume, plan),
        hounsfield=hounsfield,
    )


def _tissues(volume: Volume, plan: Plan) -> NDArray[np.uint8] | None:
    """Return the tissue classes of the T1w, source or target; ``None`` where it is neither, or missing."""
    image: NDArray[np.float32] | None = None
    where = volume.mask
    if TISSUE_CONTRAST in plan.sources:
        place = plan.sources.index(TISSUE_CONTRAST)
        image = None if volume.pair.sources[place] is None else volume.inputs[place]
    elif plan.target == TISSUE_CONTRAST and volume.target is not None and volume.loss_mask is not None:
        image, where = volume.target, volume.loss_mask
    if image is None:
        return None
    classes = np.zeros(where.shape, np.uint8)
    try:
        classes[where] = intensity_classes(image[where])
    except DataError:  # an image of one intensity: measured all the same, in no tissue
        return None
    return classes
