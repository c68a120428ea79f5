"""How a predicted image is written: on which grid, and in whose intensities."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bidsapp.bids import names
from bidsapp.bids.gather import read_scale
from bidsapp.bids.grids import acquired_grid
from bidsapp.bids.sidecars import own_uri
from bidsapp.errors import DataError, UsageError
from bidsapp.imaging.ct import AIR_HU, MAX_HU
from bidsapp.imaging.grid import resample_within
from bidsapp.scales import IntensityScale
from bidsapp.settings import MATCH_NORMALIZED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bidsapp.bids.gather import GatheredVisit
    from bidsapp.imaging.grid import Grid
    from bidsapp.scales import Scale
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.pairs import Volume


@dataclass(frozen=True)
class Rendering:
    """What becomes of a prediction, which is on the common grid and in normalized units.

    Attributes
    ----------
    grid : Grid or None
        Where it is carried by one cubic B-spline; ``None``: it stays on the common grid.
    reference : str
        BIDS URI of the image whose grid that is.
    scale : Scale
        Its inverse gives the intensities that are written.
    scale_of : str
        Whose intensities these are.
    resampled : str
        How the image came to its grid; empty where it stayed.
    """

    grid: Grid | None
    reference: str
    scale: Scale
    scale_of: str
    resampled: str

    @property
    def hounsfield(self) -> bool:
        """Whether it is a CT: whole Hounsfield units within their range, air around the head."""
        return self.scale.method == "hu"

    @property
    def dtype(self) -> str:
        """Type on disk."""
        return "int16" if self.hounsfield else "float32"

    @property
    def fill(self) -> float:
        """Value outside the mask."""
        return AIR_HU if self.hounsfield else 0.0

    def intensities(self, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return normalized values as they are written, wherever."""
        values = self.scale.inverse(predicted)
        return np.clip(values, AIR_HU, MAX_HU) if self.hounsfield else values

    def image(self, volume: Volume, predicted: NDArray[np.float32]) -> nib.Nifti1Image:
        """Return the image to write; `predicted` is of the volume's cropped shape."""
        return self._carried(volume, self.intensities(predicted), self.fill)

    def half_width(self, predicted: NDArray[np.float32], half: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return half the width of an interval around a prediction in the intensities that are written."""
        upper, lower = (self.scale.inverse(end) for end in (predicted + half, predicted - half))
        return (upper - lower) / 2

    def spread(self, volume: Volume, predicted: NDArray[np.float32], half: NDArray[np.float32]) -> nib.Nifti1Image:
        """Return the image of `half_width`."""
        return self._carried(volume, self.half_width(predicted, half), 0.0)

    def _carried(self, volume: Volume, values: NDArray[np.float32], fill: float) -> nib.Nifti1Image:
        image = volume.image(values, fill)
        if self.grid is None:
            return image
        mask = volume.image(np.ones(values.shape, np.float32), 0.0)
        return resample_within(image, mask, self.grid, fill=fill)


def rendering_of(settings: Settings, visit: GatheredVisit, bundle: Bundle) -> Rendering:
    """Return how a visit's prediction is written.

    Parameters
    ----------
    settings : Settings
        Says on which grid, and in whose intensities.
    visit : GatheredVisit
        Whose prediction.
    bundle : Bundle
        Has the typical scale of its training cohort.

    Raises
    ------
    DataError, UsageError
        As by `check_rendering`.
    """
    scale, scale_of = _scale(settings, bundle.target_scale, bundle.plan.target)
    if settings.synth_space == "native":
        grid, uri = acquired_grid(settings.output_dir, visit.visit, settings.reference)
        how = f"the acquired {settings.reference}'s own grid, from the common one by one cubic B-spline"
        return Rendering(grid, uri, scale, scale_of, how)
    common = names.preproc(visit.visit, visit.visit.scan(settings.reference), settings.reference)
    return Rendering(None, own_uri(common), scale, scale_of, "")


def check_rendering(settings: Settings, visits: Sequence[GatheredVisit], bundle: Bundle | None) -> None:
    """Raise an error, before anything is trained, where predictions cannot be written as was asked for.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    visits : sequence of GatheredVisit
        Those to predict.
    bundle : Bundle or None
        What predicts them; ``None`` where it is trained on those of them that have a target.

    Raises
    ------
    DataError
        It is not written down on which grid a visit's reference was acquired.
    UsageError
        The image to match is none of the target, or on another intensity scale.
    """
    if settings.synth_space == "native":
        for visit in visits:
            acquired_grid(settings.output_dir, visit.visit, settings.reference)
    scales = [bundle.target_scale] if bundle else [visit.pair.target_scale for visit in visits]
    typical = next((scale for scale in scales if scale is not None), None)
    if typical is not None:  # else no pair is left to learn from, which is said where pairs are split
        _scale(settings, typical, settings.target)


def _scale(settings: Settings, typical: Scale, target: str) -> tuple[Scale, str]:
    """Return the scale whose inverse gives intensities, and whose it is."""
    if typical.method == "hu":
        return typical, "all CTs: Hounsfield units"
    if settings.match_to is None:
        return typical, f"the training cohort's {target}: the median of their scales"
    if settings.match_to == MATCH_NORMALIZED:
        return IntensityScale(typical.method, 0.0, 1.0), f"none: normalized units ({typical.method})"
    return matched_scale(settings, typical.method, target)


def matched_scale(settings: Settings, method: str, target: str) -> tuple[Scale, str]:
    """Return the intensity scale of the acquired image that ``--match-to`` names, and what sidecars call it.

    Parameters
    ----------
    settings : Settings
        Names the image; the derivatives it lies in need not be these.
    method : str
        Of the scale that is predicted on: numbers of another one would not fit.
    target : str
        Contrast that is predicted.

    Raises
    ------
    UsageError
        It is no preprocessed image of the target, or has no scale by this method.
    """
    path = Path(str(settings.match_to))
    hint = f"give a …_desc-preproc_{target}.nii.gz of derivatives on the intensity scale {method}"
    match = re.fullmatch(rf"(.+_desc-)(?:preproc|normalized|{method})(_{target})\.nii\.gz", path.name)
    if not match:
        raise UsageError(f"--match-to {path}: no preprocessed {target} by its name", hint)
    for label in (method, "normalized"):
        sidecar = path.with_name(f"{match[1]}{label}{match[2]}.json")
        try:
            scale = read_scale(sidecar)
        except DataError:
            continue
        if scale.method == method:
            return scale, _called(path, settings.output_dir)
    raise UsageError(f"--match-to {path}: there is no intensity scale {method} beside it", hint)


def _called(path: Path, derivatives: Path) -> str:
    """Return a BIDS URI, or of an image elsewhere its name: places on a machine do not go into sidecars."""
    home, place = derivatives.resolve(), path.parent.resolve() / path.name  # a link, where DataLad keeps it
    return own_uri(place.relative_to(home).as_posix()) if place.is_relative_to(home) else path.name
