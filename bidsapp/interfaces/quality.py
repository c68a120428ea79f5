"""Quality numbers and figures of one scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, isdefined, traits

from bidsapp.imaging import quality
from bidsapp.imaging.grid import common_grid, resample, resample_mask
from bidsapp.imaging.registration import read_itk
from bidsapp.interfaces.base import Step, load
from bidsapp.reports.figures import brain_mask_figure, registration_figure

# Mutual information needs no detail; before and after are compared on one coarse grid.
COARSE_MM = 2.0


class _MeasureInput(BaseInterfaceInputSpec):
    mask = File(exists=True, mandatory=True, desc="the scan's brain mask on the common grid")
    scan = File(exists=True, desc="corrected scan in its own grid")
    reference = File(exists=True, desc="corrected reference in its own grid")
    reference_mask = File(exists=True, desc="the reference's brain mask on the common grid")
    transform = File(exists=True, desc="from the reference to the scan")


class _MeasureOutput(TraitedSpec):
    numbers = traits.Dict(desc="columns of scans.tsv")


class Measure(Step):
    """Measure a scan, and how well it was aligned where it is not the reference."""

    input_spec = _MeasureInput
    output_spec = _MeasureOutput

    def step(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - nothing is written
        """Return the numbers."""
        numbers: dict[str, Any] = {"brain_volume_ml": quality.brain_volume_ml(load(self.inputs.mask))}
        if isdefined(self.inputs.transform):
            numbers.update(self._alignment())
        return {"numbers": numbers}

    def _alignment(self) -> dict[str, Any]:
        reference, scan = load(self.inputs.reference), load(self.inputs.scan)
        mask = load(self.inputs.reference_mask)
        transform = read_itk(Path(self.inputs.transform))
        coarse = common_grid(reference, COARSE_MM)
        fixed, brain = resample(reference, coarse), resample_mask(mask, coarse)
        before = quality.joint_information(fixed, resample(scan, coarse), brain)
        after = quality.joint_information(fixed, resample(scan, coarse, transform), brain)
        dice = quality.mask_overlap(mask, load(self.inputs.mask))
        inside = np.argwhere(np.asarray(mask.dataobj) > 0)
        centre = nib.affines.apply_affine(mask.affine, inside.mean(axis=0))
        flags = quality.registration_verdict(nmi_before=before, nmi_after=after, mask_dice=dice)
        return {
            "mask_dice": dice,
            "nmi_before": before,
            "nmi_after": after,
            "rotation_deg": transform.rotation_deg,
            "translation_mm": transform.displacement_mm(centre),
            "flags": "; ".join(flags),
        }


class _FigureInput(BaseInterfaceInputSpec):
    image = File(exists=True, mandatory=True, desc="scan on the common grid")
    mask = File(exists=True, mandatory=True, desc="brain mask to draw")
    reference = File(exists=True, desc="reference on the common grid; then the alignment is drawn")


class _FigureOutput(TraitedSpec):
    out_file = File(desc="SVG")


class Figure(Step):
    """Draw a scan's brain mask, or its alignment with the reference."""

    input_spec = _FigureInput
    output_spec = _FigureOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the figure."""
        image, mask, path = load(self.inputs.image), load(self.inputs.mask), folder / "figure.svg"
        if isdefined(self.inputs.reference):
            return {"out_file": str(registration_figure(load(self.inputs.reference), image, mask, path))}
        return {"out_file": str(brain_mask_figure(image, mask, path))}
