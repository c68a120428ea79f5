"""The floor: the best map from source intensities to the target's that knows nothing of place or neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sklearn.ensemble import HistGradientBoostingRegressor

    from bidsapp.synthesis.pairs import Volume
    from bidsapp.synthesis.sampling import TrainingVolume

VOXELS = 200_000


def fit_floor(volumes: Sequence[TrainingVolume], sources: int, seed: int) -> HistGradientBoostingRegressor:
    """Fit the conditional median of the target given the source intensities at the same voxel.

    Parameters
    ----------
    volumes : sequence of TrainingVolume
        Training volumes; 200,000 voxels are drawn from them all.
    sources : int
        The first `sources` input channels are images.
    seed : int
        Seed of the draw.

    Returns
    -------
    HistGradientBoostingRegressor
        Trees on histogram bins, trained on the absolute error.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    random = np.random.default_rng(seed)
    share = VOXELS // len(volumes)
    features, targets = [], []
    for volume in volumes:
        drawn = np.sort(random.choice(volume.centres, min(share, volume.centres.size), replace=False))
        features.append(volume.inputs[:sources].reshape(sources, -1)[:, drawn].T)
        targets.append(volume.target.reshape(-1)[drawn])
    floor = HistGradientBoostingRegressor(loss="absolute_error", max_leaf_nodes=31, random_state=seed)
    return floor.fit(np.concatenate(features), np.concatenate(targets))


def predict_floor(floor: HistGradientBoostingRegressor, volume: Volume, sources: int) -> NDArray[np.float32]:
    """Apply a fitted floor to a volume; shape (X, Y, Z), 0 outside the mask."""
    image = np.zeros(volume.mask.shape, np.float32)
    image[volume.mask] = floor.predict(volume.inputs[:sources, volume.mask].T)
    return image
