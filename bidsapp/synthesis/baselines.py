"""Rivals that know no more than a voxel, or its neighbourhood: a network that is worth its time beats them.

A source that a visit lacks is the median of its scale in the whole brain, to them as to the article's network;
neither is told that it is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor

    from bidsapp.synthesis.pairs import Volume
    from bidsapp.synthesis.sampling import TrainingVolume

VOXELS = 200_000
# A forest of this size takes some 12 CPU s to grow on them, and 2 s to apply to a million voxels.
TREES = 16
LEAF = 5
CHUNK = 200_000


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

    features, targets = _drawn(volumes, sources, seed, reach=0)
    floor = HistGradientBoostingRegressor(loss="absolute_error", max_leaf_nodes=31, random_state=seed)
    return floor.fit(features, targets)


def predict_floor(floor: HistGradientBoostingRegressor, volume: Volume, sources: int) -> NDArray[np.float32]:
    """Apply a fitted floor to a volume; shape (X, Y, Z), 0 outside the mask."""
    return _applied(floor, volume, sources, reach=0)


def fit_forest(
    volumes: Sequence[TrainingVolume], sources: int, seed: int, threads: int = 1
) -> RandomForestRegressor:
    """Grow a random forest on the 3 × 3 × 3 voxels around each (Jog et al. 2017, doi:10.1016/j.media.2016.08.009).

    The voxelwise regression that the article's author published as ``synthit``.

    Parameters
    ----------
    volumes : sequence of TrainingVolume
        Training volumes; the same 200,000 voxels are drawn from them all as for the floor.
    sources : int
        The first `sources` input channels are images.
    seed : int
        Seed of the draw and of the forest.
    threads : int
        Threads; they change nothing but the time.
    """
    from sklearn.ensemble import RandomForestRegressor

    features, targets = _drawn(volumes, sources, seed, reach=1)
    forest = RandomForestRegressor(
        TREES, min_samples_leaf=LEAF, max_features=1 / 3, max_samples=0.5, n_jobs=threads, random_state=seed
    )
    return forest.fit(features, targets)


def predict_forest(forest: RandomForestRegressor, volume: Volume, sources: int) -> NDArray[np.float32]:
    """Apply a fitted forest to a volume; shape (X, Y, Z), 0 outside the mask."""
    return _applied(forest, volume, sources, reach=1)


def _drawn(
    volumes: Sequence[TrainingVolume], sources: int, seed: int, *, reach: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw voxels of all volumes: intensities around them, shape (N, F), and the target, shape (N,)."""
    random = np.random.default_rng(seed)
    share = VOXELS // len(volumes)
    features, targets = [], []
    for volume in volumes:
        drawn = np.sort(random.choice(volume.centres, min(share, volume.centres.size), replace=False))
        places = np.unravel_index(drawn, volume.mask.shape[1:])
        features.append(_around(volume.inputs[:sources], places, reach))
        targets.append(volume.target.reshape(-1)[drawn].astype(np.float32))
    return np.concatenate(features), np.concatenate(targets)


def _applied(
    model: HistGradientBoostingRegressor | RandomForestRegressor, volume: Volume, sources: int, *, reach: int
) -> NDArray[np.float32]:
    """Predict the voxels in the mask, chunk by chunk: all neighbourhoods at once would take gigabytes."""
    places = np.nonzero(volume.mask)
    values = np.empty(places[0].size, np.float32)
    for start in range(0, values.size, CHUNK):
        part = slice(start, start + CHUNK)
        values[part] = model.predict(_around(volume.inputs[:sources], tuple(p[part] for p in places), reach))
    image = np.zeros(volume.mask.shape, np.float32)
    image[places] = values
    return image


def _around(images: NDArray[np.floating], places: Sequence[NDArray[np.intp]], reach: int) -> NDArray[np.float32]:
    """Return the intensities of the cubes around places, shape (N, C × (2 reach + 1)³); edges go on."""
    offsets = range(-reach, reach + 1)
    columns: list[NDArray[np.floating]] = []
    for offset in ((x, y, z) for x in offsets for y in offsets for z in offsets):
        moved = [
            np.clip(place + step, 0, size - 1)
            for place, step, size in zip(places, offset, images.shape[1:], strict=True)
        ]
        columns += [image[tuple(moved)] for image in images]
    return np.asarray(np.stack(columns, axis=1), np.float32)
