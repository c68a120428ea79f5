"""Which of several images of one contrast is the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from nibabel.affines import voxel_sizes

from bidsapp.errors import DataError
from bidsapp.imaging.headers import check_image
from bidsapp.imaging.quality import entropy_focus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Voxel edges that differ by less are the same protocol.
EDGE_STEP_MM = 0.2


def best_image(paths: Sequence[Path]) -> int:
    """Return the index of the image to prefer: the finest voxels, then the least blurred and ghosted.

    Parameters
    ----------
    paths : sequence of Path
        Images of one contrast of one visit.

    Returns
    -------
    int
        The first of those with the finest longest voxel edge and, among them, with the lowest entropy focus
        criterion (Atkinson et al. 1997), which motion raises. An image that cannot be used comes last.
    """
    return min(range(len(paths)), key=lambda number: _rank(paths[number]))


def _rank(path: Path) -> tuple[float, float]:
    try:
        image = check_image(path).image
    except DataError:
        return float("inf"), float("inf")
    edge = round(float(voxel_sizes(image.affine).max()) / EDGE_STEP_MM)
    return edge, entropy_focus(np.asarray(image.dataobj, np.float64).ravel())
