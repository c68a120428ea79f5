"""RAVEL on a cohort: its visits laid on the template, their fluid compared, their images corrected."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.bids import names
from bidsapp.imaging.grid import own_grid, resample, resample_mask
from bidsapp.imaging.itk import like
from bidsapp.imaging.ravel import Ravel, control_region, fit_ravel, unwanted
from bidsapp.imaging.registration import Head
from bidsapp.imaging.spaces import register_to_template
from bidsapp.imaging.template import BUNDLED, SEARCH_SPACING_MM, Template, load_template
from bidsapp.imaging.tissue import FLUID
from bidsapp.imaging.transforms import LinearTransform, read_itk
from bidsapp.records import Population

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bidsapp.cohort.files import CohortFiles
    from bidsapp.records import Scale, Visit

FIELD = "ravelfield"


class RavelCohort:
    """Fits and applies RAVEL; transforms and carried images stay in the work folder."""

    method = "ravel"

    def __init__(self, files: CohortFiles) -> None:
        self.files = files
        self.folder = files.settings.work / "ravel"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.template: Template = load_template(BUNDLED, SEARCH_SPACING_MM)

    def look_at(self, visit: Visit, contrasts: Sequence[str]) -> None:
        """Carry a visit's images and its fluid to the template, and keep them in the work folder."""
        transform = self._transform(visit)
        for contrast in contrasts:
            np.save(self._stored(visit, contrast), self._carried(visit, contrast, transform))
        tissue = self.files.tissue(visit)
        fluid = like((np.asarray(tissue.dataobj) == FLUID).astype(np.uint8), tissue)
        carried = resample_mask(fluid, own_grid(self.template.image), transform)
        np.save(self._stored(visit, "fluid"), np.asarray(carried.dataobj))

    def fit(self, seen: Sequence[tuple[Visit, None]], contrasts: Sequence[str]) -> Population:
        """Learn the unwanted factor of each contrast from the voxels where nearly all visits have fluid."""
        count = np.zeros(self.template.image.shape, np.int64)
        for visit, _ in seen:
            count += np.load(self._stored(visit, "fluid"))
        region = control_region(count, len(seen))
        numbers = {"control": np.flatnonzero(region)}
        for contrast in contrasts:
            images = [np.load(self._stored(visit, contrast), mmap_mode="r") for visit, _ in seen]
            found = fit_ravel(np.array([image[region] for image in images]), images)
            numbers.update({f"{contrast}_{field.name}": getattr(found, field.name) for field in fields(found)})
        return Population(self.method, numbers)

    def apply(self, visit: Visit, contrast: str, population: Population) -> tuple[Path, Scale]:
        """Write an image without its unwanted part and that part itself; return the image's path and scale."""
        transform = self._transform(visit)
        learned = Ravel(*(population.numbers[f"{contrast}_{field.name}"] for field in fields(Ravel)))
        controls = self._carried(visit, contrast, transform).ravel()[population.numbers["control"]]
        image, scale = self.files.normalized(visit, contrast)
        effect = own_grid(self.template.image).image(learned.effect)
        part = unwanted(effect, learned.factor(controls), image, transform)
        rest = like(np.asarray(image.dataobj, np.float32) - np.asarray(part.dataobj), image)
        source = names.normalized(visit, visit.scan(contrast), self.files.settings.reference)
        field = self.files.write(visit, contrast, FIELD, part, [source], scale)
        parents = [source, field.relative_to(self.files.settings.output_dir).as_posix()]
        return self.files.write(visit, contrast, self.method, rest, parents, scale, less=parents[1]), scale

    def _carried(self, visit: Visit, contrast: str, transform: LinearTransform) -> NDArray[np.float32]:
        image, _ = self.files.normalized(visit, contrast)
        return np.asarray(resample(image, own_grid(self.template.image), transform).dataobj, np.float32)

    def _stored(self, visit: Visit, what: str) -> Path:
        return self.folder / f"{visit.label}_{what}.npy"

    def _transform(self, visit: Visit) -> LinearTransform:
        """Return the transform from the template's space to the visit's; one that was found before is kept."""
        image, mask = self.files.preproc(visit, "T1w"), self.files.mask(visit, "T1w")
        key = hashlib.sha256(np.asarray(image.dataobj).tobytes() + np.asarray(mask.dataobj).tobytes()).hexdigest()
        path = self.folder / f"{visit.label}_{key[:16]}.txt"
        if not path.is_file():
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                found = register_to_template(Head(image, mask), self.template, "affine", Path(folder))
                found.to_template.replace(path)
        return read_itk(path)
