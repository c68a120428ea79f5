"""Steps on one scan, in its own grid: header, brain mask, bias field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, traits

from bidsapp.errors import DataError
from bidsapp.imaging.bias import correct_bias, estimate_bias_field
from bidsapp.imaging.brain import brain_mask
from bidsapp.imaging.headers import check_image
from bidsapp.interfaces.base import Step, load, save


class _CheckHeaderInput(BaseInterfaceInputSpec):
    in_file = traits.Str(mandatory=True, desc="scan as acquired; a string, for it may be a dangling link")
    stamp = traits.Str(desc="size and time of the scan, and our version: a changed file is read again")


class _CheckHeaderOutput(TraitedSpec):
    out_file = File(desc="checked image")
    decisions = traits.List(traits.Str, desc="what was decided about the header")
    fingerprint = traits.Str(desc="SHA-256 of the voxels")


class CheckHeader(Step):
    """Apply the header policy."""

    input_spec = _CheckHeaderInput
    output_spec = _CheckHeaderOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return checked image, decisions and fingerprint."""
        checked = check_image(Path(self.inputs.in_file))
        return {
            "out_file": save(checked.image, folder / "checked.nii"),
            "decisions": list(checked.decisions),
            "fingerprint": checked.fingerprint,
        }


class _BrainMaskInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True)
    scan = traits.Str(mandatory=True, desc="the acquired file, for messages")


class _BrainMaskOutput(TraitedSpec):
    out_file = File(desc="brain mask in the scan's own grid")


class BrainMask(Step):
    """Find the brain."""

    input_spec = _BrainMaskInput
    output_spec = _BrainMaskOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the mask."""
        try:
            mask = brain_mask(load(self.inputs.in_file))
        except DataError as error:
            raise DataError(f"{self.inputs.scan}: {error.message}", error.hint) from error
        return {"out_file": save(mask, folder / "mask.nii")}


class _CorrectBiasInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)
    levels = traits.Int(mandatory=True, desc="fitting levels")


class _CorrectBiasOutput(TraitedSpec):
    out_file = File(desc="corrected image")
    field = File(desc="bias field")


class CorrectBias(Step):
    """Estimate the bias field inside the brain and divide the whole head by it."""

    input_spec = _CorrectBiasInput
    output_spec = _CorrectBiasOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return corrected image and field."""
        image = load(self.inputs.in_file)
        field = estimate_bias_field(image, load(self.inputs.mask), levels=self.inputs.levels)
        return {
            "out_file": save(correct_bias(image, field), folder / "corrected.nii"),
            "field": save(field, folder / "field.nii"),
        }
