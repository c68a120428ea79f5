"""Steps that bring a scan to the visit's common grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, isdefined, traits

from bidsapp.imaging.ct import head_mask as ct_head_mask
from bidsapp.imaging.ct import measured_region, soft_tissue
from bidsapp.imaging.grid import field_of_view, own_grid, resample, resample_mask, visit_grid
from bidsapp.imaging.histogram import brain_histogram
from bidsapp.imaging.intensity import fit_scale, normalize
from bidsapp.imaging.quality import head_mask
from bidsapp.imaging.registration import Head, register
from bidsapp.imaging.tissue import tissue_classes
from bidsapp.imaging.transforms import LinearTransform, read_itk, write_itk
from bidsapp.interfaces.base import Step, load, save


class _RegisterInput(BaseInterfaceInputSpec):
    fixed = File(exists=True, mandatory=True, desc="corrected reference in its own grid")
    fixed_mask = File(exists=True, mandatory=True, desc="the reference's brain mask in its own grid")
    moving = File(exists=True, mandatory=True, desc="corrected scan in its own grid")
    moving_mask = File(exists=True, mandatory=True, desc="the scan's brain mask in its own grid")
    given = File(exists=True, desc="a transform to use; nothing is searched for")
    ct = traits.Bool(False, usedefault=True, desc="the scan has Hounsfield units")
    kind = traits.Enum("rigid", "affine", usedefault=True)
    sloppy = traits.Bool(False, usedefault=True)


class _RegisterOutput(TraitedSpec):
    transform = File(desc="ITK text; maps points of the reference to points of the scan")


class Register(Step):
    """Align a scan with the reference."""

    input_spec = _RegisterInput
    output_spec = _RegisterOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the transform."""
        return {"transform": str(write_itk(self._transform(), folder / "transform.txt"))}

    def _transform(self) -> LinearTransform:
        inputs = self.inputs
        if isdefined(inputs.given):
            return read_itk(Path(inputs.given))
        moving = soft_tissue(load(inputs.moving)) if inputs.ct else load(inputs.moving)
        heads = Head(load(inputs.fixed), load(inputs.fixed_mask)), Head(moving, load(inputs.moving_mask))
        return register(*heads, inputs.kind, sloppy=inputs.sloppy)


class _ResampleInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="corrected scan in its own grid")
    mask = File(exists=True, mandatory=True, desc="brain mask in the scan's grid")
    reference = File(exists=True, mandatory=True, desc="corrected reference in its own grid")
    transform = File(exists=True, desc="from the reference to the scan")
    resolution = traits.Str(mandatory=True, desc="voxel edges, mm, or native")
    fill = traits.Float(0.0, usedefault=True, desc="value outside the scan's field of view")


class _ResampleOutput(TraitedSpec):
    out_file = File(desc="image on the common grid")
    mask = File(desc="brain mask on the common grid")


class Resample(Step):
    """Carry a scan and its brain mask to the common grid, in one interpolation."""

    input_spec = _ResampleInput
    output_spec = _ResampleOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return image and mask."""
        grid = visit_grid(load(self.inputs.reference), self.inputs.resolution)
        transform = read_itk(Path(self.inputs.transform)) if isdefined(self.inputs.transform) else None
        image = resample(load(self.inputs.in_file), grid, transform, fill=self.inputs.fill)
        mask = resample_mask(load(self.inputs.mask), grid, transform)
        return {"out_file": save(image, folder / "image.nii"), "mask": save(mask, folder / "mask.nii")}


class _HeadMaskInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="image on the common grid")
    scan = File(exists=True, desc="a CT in its own grid")
    transform = File(exists=True, desc="from the reference to the CT")
    mask = File(exists=True, desc="the CT's brain mask on the common grid")
    stripped = traits.Bool(False, usedefault=True, desc="the CT came without skull")


class _HeadMaskOutput(TraitedSpec):
    out_file = File(desc="head mask")
    measured = File(desc="where a CT was scanned, without its table")


class HeadMask(Step):
    """Tell the head from the air around it, and of a CT also from its table."""

    input_spec = _HeadMaskInput
    output_spec = _HeadMaskOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the mask, and of a CT where it can be compared with."""
        image = load(self.inputs.in_file)
        if not isdefined(self.inputs.scan):
            return {"out_file": save(head_mask(image), folder / "head.nii")}
        if self.inputs.stripped:  # what was taken off is told by no voxel
            brain = load(self.inputs.mask)
            return {"out_file": save(brain, folder / "head.nii"), "measured": save(brain, folder / "measured.nii")}
        head = ct_head_mask(image)
        view = field_of_view(load(self.inputs.scan), own_grid(image), read_itk(Path(self.inputs.transform)))
        measured = measured_region(image, head, view)
        return {"out_file": save(head, folder / "head.nii"), "measured": save(measured, folder / "measured.nii")}


class _TissueInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)


class _TissueOutput(TraitedSpec):
    out_file = File(desc="tissue classes")


class Tissue(Step):
    """Tell fluid, grey and white matter of a T1w apart."""

    input_spec = _TissueInput
    output_spec = _TissueOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the classes."""
        classes = tissue_classes(load(self.inputs.in_file), load(self.inputs.mask))
        return {"out_file": save(classes, folder / "tissue.nii")}


class _NormalizeInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)
    method = traits.Str("robust", usedefault=True)
    contrast = traits.Str("T1w", usedefault=True)
    tissue = File(exists=True, desc="tissue classes of the visit's T1w")


class _NormalizeOutput(TraitedSpec):
    out_file = File(desc="image in units of its scale")
    scale = traits.Dict(desc="method, offset and scale")
    histogram = traits.Dict(desc="of the brain, before")


class Normalize(Step):
    """Put an image on its intensity scale."""

    input_spec = _NormalizeInput
    output_spec = _NormalizeOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the normalized image, its scale, and the histogram before."""
        image = load(self.inputs.in_file)
        tissue = load(self.inputs.tissue) if isdefined(self.inputs.tissue) else None
        scale = fit_scale(self.inputs.method, image, load(self.inputs.mask), self.inputs.contrast, tissue)
        return {
            "out_file": save(normalize(image, scale), folder / "normalized.nii"),
            "scale": {"method": scale.method, "offset": scale.offset, "scale": scale.scale},
            "histogram": brain_histogram(image, load(self.inputs.mask)),
        }
