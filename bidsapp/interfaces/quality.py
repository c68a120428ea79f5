"""Quality numbers of one scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, isdefined, traits

from bidsapp.imaging import quality
from bidsapp.imaging.alignment import Alignment, assess_alignment
from bidsapp.imaging.bias import field_range
from bidsapp.imaging.ct import soft_tissue
from bidsapp.imaging.grid import own_grid, resample_mask
from bidsapp.imaging.transforms import read_itk
from bidsapp.interfaces.base import Step, load


class _MeasureInput(BaseInterfaceInputSpec):
    mask = File(exists=True, mandatory=True, desc="the scan's brain mask on the common grid")
    image = File(exists=True, desc="the scan on the common grid; measured where there are tissue classes")
    tissue = File(exists=True, desc="tissue classes of the visit's T1w on the common grid")
    ct = traits.Bool(False, usedefault=True, desc="the scan has Hounsfield units")
    scan = File(exists=True, mandatory=True, desc="corrected scan in its own grid")
    reference = File(exists=True, desc="corrected reference in its own grid")
    scan_mask = File(exists=True, mandatory=True, desc="brain mask of the scan in its own grid")
    reference_mask = File(exists=True, desc="brain mask of the reference")
    transform = File(exists=True, desc="from the reference to the scan")
    field = File(exists=True, desc="bias field of the scan in its own grid, where one was estimated")


class _MeasureOutput(TraitedSpec):
    numbers = traits.Dict(desc="columns of scans.tsv")


class Measure(Step):
    """Measure a scan, and how well it was aligned where it is not the reference."""

    input_spec = _MeasureInput
    output_spec = _MeasureOutput

    def step(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - nothing is written
        """Return the numbers, and why they speak against the scan."""
        volume = quality.brain_volume_ml(load(self.inputs.mask))
        contact = quality.edge_contact_cm2(load(self.inputs.scan_mask))
        numbers: dict[str, Any] = {"brain_volume_ml": volume, "edge_contact_cm2": contact}
        if isdefined(self.inputs.field):
            numbers["inu_range"] = field_range(load(self.inputs.field), load(self.inputs.scan_mask))
        if isdefined(self.inputs.tissue):
            numbers.update(self._image_quality())
        flags = quality.volume_flags(volume)
        if isdefined(self.inputs.transform):
            alignment = self._alignment()
            numbers.update(alignment.columns())
            flags += alignment.flags
        else:
            flags += quality.cut_flags(contact)
        return {"numbers": {**numbers, "flags": "; ".join(flags)}}

    def _image_quality(self) -> dict[str, float]:
        given = self.inputs
        image = load(given.image)
        transform = read_itk(Path(given.transform)) if isdefined(given.transform) else None
        view = resample_mask(quality.acquired(load(given.scan)), own_grid(image), transform)
        return quality.image_quality(image, load(given.tissue), view)

    def _alignment(self) -> Alignment:
        given = self.inputs
        scan = soft_tissue(load(given.scan)) if given.ct else load(given.scan)
        masks = load(given.reference_mask), load(given.scan_mask)
        return assess_alignment(load(given.reference), scan, *masks, read_itk(Path(given.transform)))
