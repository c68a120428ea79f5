"""What an input and its prediction are like: a few numbers and coarse maps, all that a verdict reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bidsapp.synthesis.pairs import AIR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from bidsapp.records import Plan
    from bidsapp.synthesis.inference import Predicted
    from bidsapp.synthesis.pairs import Volume

AXES = ("left-right", "back-front", "down-up")
# Maps have so many bins along each axis, up to so many standard deviations from the brain's centre; what lies
# further out counts in the last. At 15 mm a bin sees no gyri, and a brain fills six hundred of them.
BINS = 10
REACH = 2.2
QUANTILES = np.linspace(0.05, 0.95, 19)
# Names of what is no source; a contrast of BIDS is written otherwise.
MASK, OUTPUT, TARGET = "brain mask", "prediction", "target"
# Below this share of the unit that normalized intensities are counted in, an image is of one intensity.
CONSTANT = 1e-4


@dataclass(frozen=True)
class Signature:
    """An input and its prediction in short; of no participant's anatomy finer than 15 mm.

    Attributes
    ----------
    numbers : Mapping of str to float
        ``kind`` or ``kind:of what`` → number. Logarithms where ratios matter: ``extent`` (standard deviation of
        the brain's coordinates along an axis, mm), ``spacing`` (longest voxel edge, mm), ``grain`` (mean absolute
        second difference of a source), ``grain along`` (the same along an axis over the mean of the axes),
        ``edges`` (mean gradient of prediction and target), ``unfamiliarity``, ``uncertainty`` (of the prediction,
        mean), ``field`` (range of a source's bias field), ``air`` (energy of its head over that of the air). As
        they are: ``border`` (area of the brain on the faces of the field of view, cm²), ``entropy`` (entropy focus
        criterion of a source).
    maps : Mapping of str to ndarray, shape (1000,)
        Over coordinates from the brain's centre in its own standard deviations: ``brain mask``, the share of each
        bin that it fills; of each source, of the prediction and, where there is one, the target: the mean in
        each bin, normalized units, 0 in those that are empty.
    quantiles : Mapping of str to ndarray, shape (19,)
        Of each source in the brain, at every 5 %, normalized units.
    constant : tuple of str
        Sources, or the prediction, that have one intensity, or one that is no number.
    """

    numbers: Mapping[str, float]
    maps: Mapping[str, NDArray[np.float32]]
    quantiles: Mapping[str, NDArray[np.float32]]
    constant: tuple[str, ...] = ()


def sign(
    volume: Volume,
    plan: Plan,
    predicted: Predicted,
    *,
    unfamiliarity: float | None = None,
) -> Signature:
    """Take the signature of a visit and its prediction.

    Parameters
    ----------
    volume : Volume
        The visit; a source that it lacks is left out.
    plan : Plan
        Names its sources.
    predicted : Predicted
        What was predicted of it.
    unfamiliarity : float or None
        From `bidsapp.synthesis.familiarity.unfamiliarity`.

    Returns
    -------
    Signature
    """
    mask, affine, image = volume.mask, volume.affine, predicted.image
    bins = _Bins(mask, affine)
    sources = {
        contrast: volume.inputs[place] - np.float32(AIR)
        for place, contrast in enumerate(plan.sources)
        if volume.pair.sources[place] is not None
    }
    numbers = {
        **_geometry(volume),
        **{f"extent:{a}": float(np.log(s)) for a, s in zip(AXES, bins.spread, strict=True)},
    }
    for contrast, source in sources.items():
        numbers |= _grain(source, volume, contrast)
    for contrast, measured in zip(plan.sources, volume.pair.quality, strict=False):
        numbers |= _quality(measured, contrast)
    images = {**sources, OUTPUT: image}
    numbers["edges:prediction"] = _edges(image, mask, affine)
    if volume.target is not None and volume.loss_mask is not None and volume.loss_mask.any():
        numbers["edges:target"] = _edges(volume.target, volume.loss_mask, affine)
        images[TARGET] = volume.target
    numbers["uncertainty"] = _log(float(predicted.scale[mask].mean()))
    if unfamiliarity is not None:
        numbers["unfamiliarity"] = _log(unfamiliarity)
    return Signature(
        numbers,
        {MASK: bins.filled, **{name: bins.mean(values[mask]) for name, values in images.items()}},
        {name: np.quantile(source[mask], QUANTILES).astype(np.float32) for name, source in sources.items()},
        tuple(name for name, values in {**sources, OUTPUT: image}.items() if not values[mask].std() > CONSTANT),
    )


class _Bins:
    """Where the voxels of a brain lie, in coordinates from its centre, in its own standard deviations."""

    def __init__(self, mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> None:
        position = np.argwhere(mask) @ affine[:3, :3].T
        position -= position.mean(axis=0)
        self.spread = np.maximum(position.std(axis=0), 1e-3)
        steps = ((position / self.spread + REACH) / (2 * REACH) * BINS).astype(int)
        self.places = np.ravel_multi_index(tuple(np.clip(steps, 0, BINS - 1).T), (BINS,) * 3)
        self.counts = np.bincount(self.places, minlength=BINS**3)
        voxels = float(np.prod(self.spread * 2 * REACH / BINS) / np.prod(voxel_sizes(affine)))
        self.filled = (self.counts / voxels).astype(np.float32)

    def mean(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean in each bin; 0 in those that are empty."""
        total = np.bincount(self.places, weights=values, minlength=BINS**3)
        return np.asarray(total / np.maximum(self.counts, 1), np.float32)


def _geometry(volume: Volume) -> dict[str, float]:
    """Return longest voxel edge and brain on the border of the field of view."""
    sizes = voxel_sizes(volume.affine)
    area = 0.0
    for axis, (box, length) in enumerate(zip(volume.box, volume.shape, strict=True)):
        face = float(np.prod(sizes) / sizes[axis] / 100)
        ends = [place for place, cut in ((0, box.start == 0), (-1, box.stop == length)) if cut]
        area += sum(face * float(volume.mask.take(end, axis=axis).sum()) for end in ends)
    return {"spacing": float(np.log(sizes.max())), "border": area}


def _quality(measured: Mapping[str, float], contrast: str) -> dict[str, float]:
    """Return what was measured of a whole scan, and its brain, corrected and normalized, cannot tell."""
    logs = {"field": measured.get("inu_range"), "air": measured.get("fber")}
    found = {f"{kind}:{contrast}": _log(value) for kind, value in logs.items() if value is not None}
    return found | ({f"entropy:{contrast}": measured["efc"]} if "efc" in measured else {})


def _grain(source: NDArray[np.float32], volume: Volume, contrast: str) -> dict[str, float]:
    """Return how far voxels are from the line through their neighbours: noise raises it, thick slices lower it."""
    along = [_log(float(np.abs(bend).mean())) for bend in _bends(source, volume)]
    mean = float(np.mean(along))
    each = {f"grain along:{contrast} {axis}": value - mean for axis, value in zip(AXES, along, strict=True)}
    return {f"grain:{contrast}": mean, **each}


def _bends(source: NDArray[np.float32], volume: Volume) -> Iterator[NDArray[np.float32]]:
    """Yield second differences along left-right, back-front and down-up, where their voxels lie in the mask."""
    for axis in range(3):
        x, inside = np.moveaxis(source, axis, 0), np.moveaxis(volume.mask, axis, 0)
        bend = x[2:] - 2 * x[1:-1] + x[:-2]
        found = bend[inside[2:] & inside[1:-1] & inside[:-2]]
        yield found if found.size else np.zeros(1, np.float32)


def _edges(image: NDArray[np.float32], mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> float:
    """Return the logarithm of the mean gradient magnitude where differences do not leave the mask."""
    inner = ndimage.binary_erosion(mask)
    if not inner.any():
        return _log(0.0)
    slopes = np.gradient(image.astype(np.float32), *map(float, voxel_sizes(affine)))
    return _log(float(np.sqrt(sum(slope[inner] ** 2 for slope in slopes)).mean()))


def _log(value: float) -> float:
    return float(np.log(max(value, 1e-6)))
