"""Steps that bring a scan to the visit's common grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, isdefined, traits

from bidsapp.imaging.grid import common_grid, resample, resample_mask
from bidsapp.imaging.intensity import fit_scale, normalize
from bidsapp.imaging.registration import read_itk, register_rigid, write_itk
from bidsapp.interfaces.base import Step, load, save


class _RegisterInput(BaseInterfaceInputSpec):
    fixed = File(exists=True, mandatory=True, desc="corrected reference in its own grid")
    moving = File(exists=True, mandatory=True, desc="corrected scan in its own grid")
    sloppy = traits.Bool(False, usedefault=True)


class _RegisterOutput(TraitedSpec):
    transform = File(desc="ITK text; maps points of the reference to points of the scan")


class Register(Step):
    """Align a scan with the reference rigidly."""

    input_spec = _RegisterInput
    output_spec = _RegisterOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the transform."""
        transform = register_rigid(load(self.inputs.fixed), load(self.inputs.moving), sloppy=self.inputs.sloppy)
        return {"transform": str(write_itk(transform, folder / "transform.txt"))}


class _ResampleInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="corrected scan in its own grid")
    mask = File(exists=True, mandatory=True, desc="brain mask in the scan's grid")
    reference = File(exists=True, mandatory=True, desc="corrected reference in its own grid")
    transform = File(exists=True, desc="from the reference to the scan")
    spacing = traits.Float(mandatory=True, desc="mm")


class _ResampleOutput(TraitedSpec):
    out_file = File(desc="image on the common grid")
    mask = File(desc="brain mask on the common grid")


class Resample(Step):
    """Carry a scan and its brain mask to the common grid, in one interpolation."""

    input_spec = _ResampleInput
    output_spec = _ResampleOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return image and mask."""
        grid = common_grid(load(self.inputs.reference), self.inputs.spacing)
        transform = read_itk(Path(self.inputs.transform)) if isdefined(self.inputs.transform) else None
        image = resample(load(self.inputs.in_file), grid, transform)
        mask = resample_mask(load(self.inputs.mask), grid, transform)
        return {"out_file": save(image, folder / "image.nii"), "mask": save(mask, folder / "mask.nii")}


class _NormalizeInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)


class _NormalizeOutput(TraitedSpec):
    out_file = File(desc="image in units of its scale")
    scale = traits.Dict(desc="method, offset and scale")


class Normalize(Step):
    """Put an image on the robust intensity scale of its brain."""

    input_spec = _NormalizeInput
    output_spec = _NormalizeOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the normalized image and its scale."""
        image = load(self.inputs.in_file)
        scale = fit_scale(image, load(self.inputs.mask))
        return {
            "out_file": save(normalize(image, scale), folder / "normalized.nii"),
            "scale": {"method": scale.method, "offset": scale.offset, "scale": scale.scale},
        }
