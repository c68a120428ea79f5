"""A cohort's derivatives, as images."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from bidsapp.bids import names, sidecars
from bidsapp.bids.gather import read_json, read_scale
from bidsapp.bids.sink import write_image
from bidsapp.errors import DataError
from bidsapp.imaging.tissue import tissue_classes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bidsapp.records import Scan, Visit
    from bidsapp.scales import Scale
    from bidsapp.settings import Settings

RUN_AGAIN = "run the participant level again"


@dataclass(frozen=True)
class CohortFiles:
    """Reads what the participant level wrote of a visit, and writes beside it.

    Every method raises `DataError` where a file cannot be read.
    """

    settings: Settings

    def preproc(self, visit: Visit, contrast: str) -> nib.Nifti1Image:
        """Return the preprocessed image, in units of the scanner."""
        return self._read(names.preproc(visit, _scan(visit, contrast), self.settings.reference))

    def mask(self, visit: Visit, contrast: str) -> nib.Nifti1Image:
        """Return the brain mask that was found on a scan."""
        return self._read(names.brain_mask(visit, _scan(visit, contrast), self.settings.reference))

    def normalized(self, visit: Visit, contrast: str) -> tuple[nib.Nifti1Image, Scale]:
        """Return the image on the scale of the participant level, and that scale."""
        path = names.normalized(visit, visit.scan(contrast), self.settings.reference)
        return self._read(path), read_scale(self.settings.output_dir / names.sidecar(path))

    def tissue(self, visit: Visit) -> nib.Nifti1Image:
        """Return the tissue classes of the T1w."""
        return tissue_classes(self.preproc(visit, "T1w"), self.mask(visit, "T1w"))

    def sources(self, visit: Visit, contrast: str) -> list[str]:
        """Return the paths of preprocessed image and mask, relative to the derivatives."""
        scan, reference = visit.scan(contrast), self.settings.reference
        return [names.preproc(visit, scan, reference), names.brain_mask(visit, scan, reference)]

    def write(
        self,
        visit: Visit,
        contrast: str,
        desc: str,
        image: nib.Nifti1Image,
        parents: Sequence[str],
        scale: Scale,
        *,
        less: str = "",
    ) -> Path:
        """Write an image on the scale of the cohort and return its path.

        Parameters
        ----------
        visit, contrast : Visit, str
            Whose.
        desc : str
            Its label, ``nyul``.
        image : Nifti1Image, shape (X, Y, Z)
            On the visit's grid.
        parents : sequence of str
            Paths of what it was made of, relative to the derivatives; the image first.
        scale : Scale
            Its scale.
        less : str
            Path of an image that was subtracted afterwards.
        """
        reference = self.settings.reference
        grid = names.preproc(visit, visit.scan(reference), reference)
        path = self.settings.output_dir / names.on_cohort_scale(visit, visit.scan(contrast), reference, desc)
        parent = read_json(self.settings.output_dir / names.sidecar(parents[0]))
        sloppy = self.settings.sloppy or sidecars.is_sloppy(parent)
        about = sidecars.Provenance(grid, reference, sloppy=sloppy)
        stripped = bool(parent.get("SkullStripped"))
        said = sidecars.normalized(about, contrast, parents, scale, stripped=stripped, less=less)
        write_image(image, path, said)
        return path

    def _read(self, path: str) -> nib.Nifti1Image:
        file = self.settings.output_dir / path
        try:
            image = nib.Nifti1Image.from_filename(file)
            return nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
        except (OSError, EOFError, ValueError, zlib.error, ImageFileError) as error:
            raise DataError(f"{file}: cannot be read: {error}", RUN_AGAIN) from error


def _scan(visit: Visit, contrast: str) -> Scan:
    """Return the scan of a contrast; `DataError` where the visit lacks one, as it may lack the T1w of tissues."""
    if contrast not in visit.contrasts:
        raise DataError(f"{visit.label}: no {contrast}, which the scale of the cohort needs", RUN_AGAIN)
    return visit.scan(contrast)
