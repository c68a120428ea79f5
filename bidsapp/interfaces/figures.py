"""The pictures of one scan's path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, isdefined, traits

from bidsapp.imaging.ct import soft_tissue
from bidsapp.interfaces.base import Step, load
from bidsapp.reports.checks import bias_figure, flicker_figures
from bidsapp.reports.figures import brain_mask_figure, registration_figure


class _DrawInput(BaseInterfaceInputSpec):
    image = File(exists=True, mandatory=True, desc="scan on the common grid")
    mask = File(exists=True, mandatory=True, desc="its own brain mask on the common grid")
    ct = traits.Bool(False, usedefault=True, desc="the scan has Hounsfield units")
    reference = File(exists=True, desc="reference on the common grid; then the alignment is drawn")
    reference_mask = File(exists=True, desc="brain mask of the reference on the common grid")
    acquired = File(exists=True, desc="scan in its own grid, before its bias field was divided out")
    corrected = File(exists=True, desc="and after")
    field = File(exists=True, desc="the bias field; then it is drawn")
    scan_mask = File(exists=True, desc="brain mask of the scan in its own grid")


class _DrawOutput(TraitedSpec):
    figures = traits.Dict(desc="what is shown → SVG")


class Draw(Step):
    """Draw what each step did to a scan: its brain mask, its bias field, its alignment with the reference."""

    input_spec = _DrawInput
    output_spec = _DrawOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the figures, each by the label that its file gets."""
        given, figures = self.inputs, {}
        image, mask = load(given.image), load(given.mask)
        image = soft_tissue(image) if given.ct else image
        if isdefined(given.field):
            images = (load(path) for path in (given.acquired, given.field, given.corrected, given.scan_mask))
            figures["bias"] = bias_figure(*images, folder / "bias.svg")
        other = None
        if isdefined(given.reference):
            reference, other = load(given.reference), load(given.reference_mask)
            figures["registration"] = registration_figure(reference, image, other, folder / "registration.svg")
            pair = folder / "fixed.svg", folder / "moving.svg"
            figures["fixed"], figures["moving"] = flicker_figures(reference, image, other, pair)
        if _any(mask):  # a registration that failed may have moved all of it out of the grid
            figures["brain"] = brain_mask_figure(image, mask, folder / "brain.svg", reference=other)
        return {"figures": {label: str(path) for label, path in figures.items()}}


def _any(mask: nib.Nifti1Image) -> bool:
    return bool(np.asarray(mask.dataobj).any())
