"""Nyúl–Udupa and least squares: an image is described by a few numbers, and brought to the cohort's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bidsapp.imaging.intensity import normalize
from bidsapp.imaging.population import describe_image, fit_standard, scale_to
from bidsapp.scales import Population

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bidsapp.cohort.files import CohortFiles
    from bidsapp.records import Visit
    from bidsapp.scales import Scale


class Standards:
    """The numbers that images of each contrast are brought to; see `bidsapp.imaging.population`."""

    def __init__(self, files: CohortFiles, method: str) -> None:
        self.files = files
        self.method = method

    def look_at(self, visit: Visit, contrasts: Sequence[str]) -> list[NDArray]:
        """Return what the method reads of a visit's images."""
        return [self._describe(visit, contrast) for contrast in contrasts]

    def fit(self, seen: Sequence[tuple[Visit, list[NDArray]]], contrasts: Sequence[str]) -> Population:
        """Learn each contrast's standard from what was seen of the visits."""
        by_contrast = zip(*(described for _, described in seen), strict=True)
        standards = [fit_standard(self.method, described) for described in by_contrast]
        return Population(self.method, dict(zip(contrasts, standards, strict=True)))

    def apply(self, visit: Visit, contrast: str, population: Population) -> tuple[Path, Scale]:
        """Write an image on the scale of the cohort, and return its path and scale."""
        scale = scale_to(self.method, population.numbers[contrast], self._describe(visit, contrast))
        image = normalize(self.files.preproc(visit, contrast), scale)
        return self.files.write(
            visit, contrast, self.method, image, self.files.sources(visit, contrast), scale
        ), scale

    def _describe(self, visit: Visit, contrast: str) -> NDArray:
        tissue = self.files.tissue(visit) if self.method == "lsq" else None
        image, mask = self.files.preproc(visit, contrast), self.files.mask(visit, contrast)
        return describe_image(self.method, image, mask, tissue)
