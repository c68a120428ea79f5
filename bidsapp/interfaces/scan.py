"""Steps on one scan, in its own grid: header, brain mask, bias field."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, isdefined, traits

from bidsapp.errors import DataError
from bidsapp.imaging.bias import correct_bias, estimate_bias_field
from bidsapp.imaging.brain import PRECOMPUTED, Brain, find_brain, given_brain
from bidsapp.imaging.ct import hounsfield
from bidsapp.imaging.grid import own_grid
from bidsapp.imaging.headers import check_image
from bidsapp.interfaces.base import Step, load, save

if TYPE_CHECKING:
    from collections.abc import Iterator

    import nibabel as nib


@contextmanager
def naming(scan: str) -> Iterator[None]:
    """Put the acquired file's name before the message of a `DataError`."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{scan}: {error.message}", error.hint) from error


def _told(memory_gb: Any) -> float | None:
    return memory_gb if isdefined(memory_gb) else None


class _CheckHeaderInput(BaseInterfaceInputSpec):
    in_file = traits.Str(mandatory=True, desc="scan as acquired; a string, for it may be a dangling link")
    ct = traits.Bool(False, usedefault=True, desc="the scan has Hounsfield units")
    given = File(exists=True, desc="an image to use instead; the acquired one is its identity")
    memory_gb = traits.Float(nohash=True, desc="what may be read; a result does not depend on it")
    stamp = traits.Str(desc="size and time of the scan, and our version: a changed file is read again")


class _CheckHeaderOutput(TraitedSpec):
    out_file = File(desc="checked image")
    decisions = traits.List(traits.Str, desc="what was decided about the header")
    fingerprint = traits.Str(desc="SHA-256 of the voxels")
    grid = traits.Dict(desc="that of the acquired image, also where another is used instead")
    header = traits.Dict(desc="what the acquired file's header says")


class CheckHeader(Step):
    """Apply the header policy."""

    input_spec = _CheckHeaderInput
    output_spec = _CheckHeaderOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return checked image, decisions, fingerprint, grid and header."""
        memory_gb = _told(self.inputs.memory_gb)
        acquired = check_image(Path(self.inputs.in_file), memory_gb)
        checked = check_image(Path(self.inputs.given), memory_gb) if isdefined(self.inputs.given) else acquired
        image, said = checked.image, ()
        if self.inputs.ct:
            with naming(self.inputs.in_file):
                image, said = hounsfield(image)
        return {
            "out_file": save(image, folder / "checked.nii"),
            "decisions": [*checked.decisions, *said],
            "fingerprint": acquired.fingerprint,
            "grid": own_grid(acquired.image).to_json(),
            "header": dict(acquired.header),
        }


class _BrainMaskInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True)
    scan = traits.Str(mandatory=True, desc="the acquired file, for messages")
    method = traits.Str("deepbet", usedefault=True, desc="a skull-stripper, ct or precomputed")
    given = File(exists=True, desc="somebody else's brain mask in the scan's space")
    memory_gb = traits.Float(nohash=True, desc="what may be read; a result does not depend on it")


class _BrainMaskOutput(TraitedSpec):
    out_file = File(desc="brain mask in the scan's own grid")
    found_by = traits.Str(desc="method")
    stripped = traits.Bool(desc="the scan came without skull")


class BrainMask(Step):
    """Find the brain."""

    input_spec = _BrainMaskInput
    output_spec = _BrainMaskOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the mask."""
        image = load(self.inputs.in_file)
        with naming(self.inputs.scan):
            brain = self._find(image)
        mask = save(brain.mask, folder / "mask.nii")
        return {"out_file": mask, "found_by": brain.method, "stripped": brain.stripped}

    def _find(self, image: nib.Nifti1Image) -> Brain:
        if isdefined(self.inputs.given):
            return given_brain(image, check_image(Path(self.inputs.given), _told(self.inputs.memory_gb)).image)
        if self.inputs.method == PRECOMPUTED:
            hint = "name it sub-…_desc-brain_mask.nii.gz, as BIDS does, or give --skull-strip deepbet"
            raise DataError("no dataset of --derivatives has its brain mask", hint)
        return find_brain(image, self.inputs.method)


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
