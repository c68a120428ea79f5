"""How far a prediction is from the acquired image, inside the brain; of a CT in the head and the air around it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bidsapp.errors import DataError
from bidsapp.imaging.ct import AIR_HU, BONE_HU, CLEAR_AIR_HU, MAX_HU, SOFT_TISSUE_HU
from bidsapp.imaging.tissue import FLUID, GREY, WHITE, intensity_classes
from bidsapp.synthesis.structure import GAUSSIAN, ms_ssim, ssim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


_CLASS = (
    "of three intensity classes, found in either image on its own by fuzzy c-means; in a T1w they are fluid, grey "
    "and white matter, in a FLAIR the last two change places, in a T2w all three; in a CT they are air, soft "
    "tissue and bone"
)
_DENSER = f"above {SOFT_TISSUE_HU[0]:g} HU"
# Of each field of `Agreement`, what tables say of it.
MEASURED = {
    "mae": "Mean absolute error in the brain where the target was acquired; normalized units, as for all errors; "
    "of a CT, HU, and for brain read the head and 10 mm around it, without the table, here and below",
    "rmse": "Root mean square error there",
    "psnr": "Peak signal-to-noise ratio, dB, the peak being data_range; n/a where both images are the same",
    "ssim": "Structural similarity (doi:10.1109/TIP.2003.819861), windows of σ = 1.5 voxels, mean over the brain; "
    f"n/a where the brain and 8 mm around it have fewer than {GAUSSIAN} voxels along an axis",
    "ms_ssim": "Multi-scale structural similarity as SynthRAD2025 defines it, five scales, mean over the brain",
    "ncc": "Normalized cross-correlation: Pearson's r inside the brain",
    "sharpness": "Mean gradient magnitude inside the brain, predicted over acquired; below 1 the image is blurred",
    "mae_fluid": "Mean absolute error in the fluid of the T1w; n/a where a T1w is neither source nor target",
    "mae_grey": "Mean absolute error in its grey matter",
    "mae_white": "Mean absolute error in its white matter",
    "mae_head": f"Mean absolute error of a CT in the head without its air, HU: where the acquired one is {_DENSER}"
    "; n/a for other targets, as are the next four",
    "mae_soft": f"Mean absolute error of a CT in soft tissue, HU: {_DENSER} and at most {BONE_HU:g} HU",
    "mae_bone": f"Mean absolute error of a CT in bone, HU: above {BONE_HU:g} HU",
    "mae_air": f"Mean absolute error of a CT in air, HU: at most {SOFT_TISSUE_HU[0]:g} HU",
    "mean_air": f"Mean of a predicted CT where the acquired one is at most {CLEAR_AIR_HU:g} HU; air has -1000 HU",
    "dice_dark": f"Dice overlap of the darkest {_CLASS}",
    "dice_middle": "Dice overlap of the middle one",
    "dice_bright": "Dice overlap of the brightest",
    "data_range": "Acquired image's 0.5th to 99.5th percentile inside the brain; of a CT, -1024 to 3071 HU",
}


@dataclass(frozen=True)
class Agreement:
    """Agreement of a predicted with an acquired image; `MEASURED` explains each number.

    Not-a-number where a measure has no meaning.
    """

    mae: float
    rmse: float
    psnr: float
    ssim: float
    ms_ssim: float
    ncc: float
    sharpness: float
    mae_fluid: float
    mae_grey: float
    mae_white: float
    mae_head: float
    mae_soft: float
    mae_bone: float
    mae_air: float
    mean_air: float
    dice_dark: float
    dice_middle: float
    dice_bright: float
    data_range: float

    def to_json(self) -> dict[str, float | None]:
        """Return what sidecars and tables write: ``None`` for what is no finite number."""
        return {name: value if math.isfinite(value) else None for name, value in dataclasses.asdict(self).items()}


def agreement(
    predicted: NDArray[np.float32],
    acquired: NDArray[np.float32],
    mask: NDArray[np.bool_],
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    tissues: NDArray[np.uint8] | None = None,
    hounsfield: bool = False,
) -> Agreement:
    """Measure the agreement of two images inside a mask.

    Parameters
    ----------
    predicted, acquired : ndarray, shape (X, Y, Z)
        In the same units; of no account outside the mask.
    mask : ndarray of bool, shape (X, Y, Z)
        Not empty.
    spacing : sequence of float
        Edges of a voxel, mm.
    tissues : ndarray of uint8, shape (X, Y, Z), or None
        Classes of the T1w; see `bidsapp.imaging.tissue`.
    hounsfield : bool
        The images are CTs in Hounsfield units. PSNR and structural similarity are then computed of images clipped
        to the fixed range of −1024 to 3071 HU, which is how SynthRAD2025 compares them; else in the acquired
        image's own range, and nothing is clipped.

    Returns
    -------
    Agreement
    """
    a, b = (image.astype(np.float64) for image in (predicted, acquired))
    error = np.abs(a[mask] - b[mask])
    low, high = (AIR_HU, MAX_HU) if hounsfield else np.percentile(b[mask], (0.5, 99.5))
    data_range = float(high - low)
    seen = [np.clip(image, low, high) if hounsfield else image for image in (a, b)]
    return Agreement(
        mae=float(error.mean()),
        rmse=float(np.sqrt(np.mean(error**2))),
        psnr=_psnr(seen[0][mask] - seen[1][mask], data_range),
        ssim=ssim(seen[0], seen[1], mask, data_range),
        ms_ssim=ms_ssim(seen[0], seen[1], mask, float(low), data_range),
        ncc=_correlation(a[mask], b[mask]),
        sharpness=_sharpness(a, b, mask, spacing),
        **_tissue_errors(error, None if tissues is None else tissues[mask]),
        **_density_errors(error, a[mask], b[mask], known=hounsfield),
        **_class_overlap(a[mask], b[mask]),
        data_range=data_range,
    )


def _psnr(error: NDArray[np.float64], data_range: float) -> float:
    rms = float(np.sqrt(np.mean(error**2)))
    return float(20 * np.log10(data_range / rms)) if rms > 0 else math.inf


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / norm if norm > 0 else math.nan


def _sharpness(
    a: NDArray[np.float64], b: NDArray[np.float64], mask: NDArray[np.bool_], spacing: Sequence[float]
) -> float:
    """Return the ratio of mean gradient magnitudes where central differences do not leave the mask."""
    inside = ndimage.binary_erosion(mask)
    if not inside.any():
        return math.nan
    means = []
    for image in (a, b):
        slopes = np.gradient(image.astype(np.float32), *map(float, spacing))
        means.append(float(np.sqrt(sum(slope[inside].astype(np.float64) ** 2 for slope in slopes)).mean()))
    return means[0] / means[1] if means[1] > 0 else math.nan


def _tissue_errors(error: NDArray[np.float64], tissues: NDArray[np.uint8] | None) -> dict[str, float]:
    """Return the mean absolute error in each tissue class; `error` and `tissues` are of the voxels in the mask."""
    labels = {"mae_fluid": FLUID, "mae_grey": GREY, "mae_white": WHITE}
    return {
        name: math.nan if tissues is None else _mean(error[tissues == label]) for name, label in labels.items()
    }


def _density_errors(
    error: NDArray[np.float64], predicted: NDArray[np.float64], acquired: NDArray[np.float64], *, known: bool
) -> dict[str, float]:
    """Return the mean absolute error in each density class of the acquired CT, where densities are known."""
    dense, bone = acquired > SOFT_TISSUE_HU[0], acquired > BONE_HU
    means = {
        "mae_head": _mean(error[dense]),
        "mae_soft": _mean(error[dense & ~bone]),
        "mae_bone": _mean(error[bone]),
        "mae_air": _mean(error[~dense]),
        "mean_air": _mean(predicted[acquired <= CLEAR_AIR_HU]),
    }
    return means if known else dict.fromkeys(means, math.nan)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else math.nan


def _class_overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> dict[str, float]:
    """Return the Dice overlap of the intensity classes of two images' voxels."""
    names = ("dice_dark", "dice_middle", "dice_bright")
    try:
        of_a, of_b = intensity_classes(a), intensity_classes(b)
    except DataError:  # of one intensity only, there are no classes
        return dict.fromkeys(names, math.nan)
    overlaps = {}
    for label, name in enumerate(names, start=1):
        in_a, in_b = of_a == label, of_b == label
        size = in_a.sum() + in_b.sum()
        overlaps[name] = float(2 * (in_a & in_b).sum() / size) if size else math.nan
    return overlaps
