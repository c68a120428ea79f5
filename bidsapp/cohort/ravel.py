"""RAVEL on a cohort: its visits laid on the template, their fluid compared, their images corrected."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from bidsapp.bids import names
from bidsapp.errors import DataError
from bidsapp.imaging.grid import own_grid, resample, resample_mask
from bidsapp.imaging.itk import like
from bidsapp.imaging.quality import acquired
from bidsapp.imaging.ravel import MIN_CONTROL_VOXELS, Ravel, control_region, fit_ravel, unwanted
from bidsapp.imaging.registration import Head
from bidsapp.imaging.spaces import register_to_template
from bidsapp.imaging.template import BUNDLED, SEARCH_SPACING_MM, Template, load_template
from bidsapp.imaging.tissue import FLUID
from bidsapp.imaging.transforms import LinearTransform, read_itk
from bidsapp.scales import Population

if TYPE_CHECKING:
    from collections.abc import Sequence

    import nibabel as nib
    from numpy.typing import NDArray

    from bidsapp.cohort.files import CohortFiles
    from bidsapp.records import Visit
    from bidsapp.scales import Scale

FIELD = "ravelfield"
# Voxels of the template, beside the end of a field of view, in which an interpolation mixes image and fill.
RIM = 2

log = logging.getLogger(__name__)


class RavelCohort:
    """Fits and applies RAVEL; transforms and carried images stay in the work folder."""

    method = "ravel"

    def __init__(self, files: CohortFiles) -> None:
        self.files = files
        self.folder = files.settings.work / "ravel"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.template: Template = load_template(BUNDLED, SEARCH_SPACING_MM)

    def look_at(self, visit: Visit, contrasts: Sequence[str]) -> None:
        """Carry a visit's images, what they cover and its fluid to the template; keep them in the work folder."""
        transform = self._transform(visit)
        for contrast in contrasts:
            np.save(self._stored(visit, contrast), self._carried(visit, contrast, transform))
            view = self._view(visit, contrast, transform)
            np.save(self._stored(visit, f"{contrast}_view"), view)
            np.save(self._stored(visit, f"{contrast}_brain"), view & self._brain(visit, contrast, transform))
        tissue = self.files.tissue(visit)
        fluid = like((np.asarray(tissue.dataobj) == FLUID).astype(np.uint8), tissue)
        np.save(self._stored(visit, "fluid"), self._on_template(fluid, transform))

    def fit(self, seen: Sequence[tuple[Visit, None]], contrasts: Sequence[str]) -> Population:
        """Learn the unwanted factor of each contrast from the fluid that nearly all visits have and cover."""
        count = np.zeros(self.template.image.shape, np.int64)
        for visit, _ in seen:
            brains = [self._read(visit, f"{contrast}_brain") for contrast in contrasts]
            count += np.logical_and.reduce([self._read(visit, "fluid"), *brains])
        region = control_region(count, len(seen))
        numbers = {"control": np.flatnonzero(region)}
        for contrast in contrasts:
            found = self._fit_contrast([visit for visit, _ in seen], contrast, region)
            numbers.update({f"{contrast}_{field.name}": getattr(found, field.name) for field in fields(found)})
        return Population(self.method, numbers)

    def _fit_contrast(self, visits: Sequence[Visit], contrast: str, region: NDArray[np.bool_]) -> Ravel:
        """Learn from the visits that cover enough; their images are opened one at a time."""
        learned, controls, covered = [], [], []
        for visit in visits:
            brain = self._read(visit, f"{contrast}_brain")[region]
            if brain.sum() < MIN_CONTROL_VOXELS:
                log.warning("%s: its %s covers only %d control voxels", visit.label, contrast, brain.sum())
                continue
            learned.append(visit)
            controls.append(self._read(visit, contrast)[region])
            covered.append(brain)
        images = (self._read(visit, contrast) for visit in learned)
        views = (self._read(visit, f"{contrast}_view") for visit in learned)
        return fit_ravel(np.array(controls), np.array(covered), images, views)

    def apply(self, visit: Visit, contrast: str, population: Population) -> tuple[Path, Scale]:
        """Write an image without its unwanted part and that part itself; return the image's path and scale."""
        transform = self._transform(visit)
        learned = Ravel(*(population.numbers[f"{contrast}_{field.name}"] for field in fields(Ravel)))
        factor = self._factor(visit, contrast, transform, learned, population.numbers["control"])
        image, scale = self.files.normalized(visit, contrast)
        effect = own_grid(self.template.image).image(learned.effect)
        part = unwanted(effect, factor, image, transform)
        rest = like(np.asarray(image.dataobj, np.float32) - np.asarray(part.dataobj), image)
        source = names.normalized(visit, visit.scan(contrast), self.files.settings.reference)
        field = self.files.write(visit, contrast, FIELD, part, [source], scale)
        parents = [source, field.relative_to(self.files.settings.output_dir).as_posix()]
        return self.files.write(visit, contrast, self.method, rest, parents, scale, less=parents[1]), scale

    def _factor(
        self, visit: Visit, contrast: str, transform: LinearTransform, learned: Ravel, control: NDArray[np.integer]
    ) -> float:
        covered = self._view(visit, contrast, transform) & self._brain(visit, contrast, transform)
        try:
            values = self._carried(visit, contrast, transform).ravel()[control]
            return learned.factor(values, covered.ravel()[control])
        except DataError as error:
            raise DataError(f"{contrast}: {error.message}", error.hint) from error

    def _carried(self, visit: Visit, contrast: str, transform: LinearTransform) -> NDArray[np.float32]:
        image, _ = self.files.normalized(visit, contrast)
        return np.asarray(resample(image, own_grid(self.template.image), transform).dataobj, np.float32)

    def _view(self, visit: Visit, contrast: str, transform: LinearTransform) -> NDArray[np.bool_]:
        """Return where on the template an image holds what was acquired, and no fill."""
        view = self._on_template(acquired(self.files.preproc(visit, contrast)), transform)
        return np.asarray(ndimage.binary_erosion(view, iterations=RIM, border_value=1))

    def _brain(self, visit: Visit, contrast: str, transform: LinearTransform) -> NDArray[np.bool_]:
        return self._on_template(self.files.mask(visit, contrast), transform)

    def _on_template(self, mask: nib.Nifti1Image, transform: LinearTransform) -> NDArray[np.bool_]:
        return np.asarray(resample_mask(mask, own_grid(self.template.image), transform).dataobj) > 0

    def _stored(self, visit: Visit, what: str) -> Path:
        return self.folder / f"{visit.label}_{what}.npy"

    def _read(self, visit: Visit, what: str) -> NDArray[Any]:
        return np.asarray(np.load(self._stored(visit, what), mmap_mode="r"))

    def _transform(self, visit: Visit) -> LinearTransform:
        """Return the transform from the template's space to the visit's; one that was found before is kept."""
        image, mask = self.files.preproc(visit, "T1w"), self.files.mask(visit, "T1w")
        parts = (np.asarray(image.dataobj), np.asarray(mask.dataobj), image.affine, mask.affine)
        key = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
        path = self.folder / f"{visit.label}_{key[:16]}.txt"
        if not path.is_file():
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                found = register_to_template(Head(image, mask), self.template, "affine", Path(folder))
                found.to_template.replace(path)
        return read_itk(path)
