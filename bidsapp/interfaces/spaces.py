"""A visit's images in standard spaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiPath,
    OutputMultiPath,
    TraitedSpec,
    isdefined,
    traits,
)

from bidsapp.bids import names, sidecars
from bidsapp.bids.sink import write_bytes, write_image, write_json
from bidsapp.imaging.grid import own_grid
from bidsapp.imaging.quality import mask_overlap
from bidsapp.imaging.registration import Head
from bidsapp.imaging.spaces import mask_through, register_to_template, resample_through
from bidsapp.imaging.template import SEARCH_SPACING_MM, load_template
from bidsapp.interfaces.base import Step, load
from bidsapp.interfaces.record import write_record
from bidsapp.records import CT, Scan, Space, Visit
from bidsapp.reports.figures import registration_figure

TYPES = {"affine": "Affine", "syn": "Affine and symmetric diffeomorphic (SyN)"}


class _RegisterTemplatesInput(BaseInterfaceInputSpec):
    image = File(exists=True, mandatory=True, desc="corrected reference in its own grid")
    mask = File(exists=True, mandatory=True, desc="the reference's brain mask in its own grid")
    templates = traits.List(traits.Str, mandatory=True, desc="names")
    kind = traits.Enum("syn", "affine", usedefault=True)
    sloppy = traits.Bool(False, usedefault=True)


class _RegisterTemplatesOutput(TraitedSpec):
    to_template = OutputMultiPath(File(), desc="for each template, ITK: resamples the reference on it")
    from_template = OutputMultiPath(File(), desc="the inverse ones")


class RegisterTemplates(Step):
    """Register the reference to templates."""

    input_spec = _RegisterTemplatesInput
    output_spec = _RegisterTemplatesOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Return the transforms, in the order of the templates."""
        inputs = self.inputs
        head, found = Head(load(inputs.image), load(inputs.mask)), []
        for name in inputs.templates:
            (folder / name).mkdir(exist_ok=True)
            template = load_template(name, SEARCH_SPACING_MM)
            found.append(register_to_template(head, template, inputs.kind, folder / name, sloppy=inputs.sloppy))
        return {
            "to_template": [str(transforms.to_template) for transforms in found],
            "from_template": [str(transforms.from_template) for transforms in found],
        }


class _WriteSpacesInput(BaseInterfaceInputSpec):
    out_dir = traits.Str(mandatory=True)
    raw_dir = traits.Str(mandatory=True)
    visit = traits.Any(mandatory=True, desc="Visit")
    contrast = traits.Str(mandatory=True)
    reference = traits.Str(mandatory=True, desc="contrast of the reference")
    spaces = traits.List(traits.Any, mandatory=True, desc="Space")
    kind = traits.Enum("syn", "affine", usedefault=True)
    fill = traits.Float(0.0, usedefault=True, desc="value outside the scan's field of view")
    corrected = traits.Bool(True, usedefault=True, desc="whether the bias field was divided out")
    sloppy = traits.Bool(False, usedefault=True)
    given = traits.Dict(usedefault=True, desc="image, mask: BIDS URIs of those that somebody else made")
    image = File(exists=True, mandatory=True, desc="corrected scan in its own grid")
    mask = File(exists=True, mandatory=True, desc="its brain mask in its own grid")
    found_by = traits.Str(mandatory=True, desc="how the brain was found")
    stripped = traits.Bool(False, usedefault=True, desc="the scan came without skull")
    decisions = traits.List(traits.Str, mandatory=True)
    fingerprint = traits.Str(mandatory=True)
    to_template = InputMultiPath(File(exists=True), mandatory=True, desc="one for each template, in order")
    from_template = InputMultiPath(File(exists=True), mandatory=True)
    transform = File(exists=True, desc="from the reference to the scan, where it is another")


class _WriteSpacesOutput(TraitedSpec):
    record = File(desc="what the visit's table and report need to know")


class WriteSpaces(Step):
    """Carry a scan to standard spaces in one interpolation, and write it; of the reference its mask, too."""

    input_spec = _WriteSpacesInput
    output_spec = _WriteSpacesOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Write files and return the record of what was written."""
        inputs, visit = self.inputs, self.inputs.visit
        scan: Scan = visit.scan(inputs.contrast)
        templates = template_names(inputs.spaces)
        pairs = list(zip(inputs.to_template, inputs.from_template, strict=True))
        row: dict[str, float] = {}
        for space in inputs.spaces:
            forward, backward = pairs[templates.index(space.name)]
            dice = self._write(visit, scan, space, forward)
            if scan.contrast == inputs.reference:
                self._write_transforms(visit, scan, space, (forward, backward))
                row["template_dice"] = min(dice, row.get("template_dice", 1.0))
        outputs = space_outputs(visit, scan, inputs.reference, inputs.spaces, inputs.kind)
        figures = {space.label: names.figure(visit, space.label, scan.contrast) for space in inputs.spaces}
        return write_record(folder, Path(inputs.out_dir), outputs, {"row": row, "figures": figures})

    def _write(self, visit: Visit, scan: Scan, space: Space, forward: str) -> float:
        """Write image, mask and figure in one space, and return the mask's overlap with the template's."""
        inputs, out = self.inputs, Path(self.inputs.out_dir)
        template = load_template(space.name, space.spacing_mm)
        grid = own_grid(template.image)
        chain = [Path(forward), *([Path(inputs.transform)] if isdefined(inputs.transform) else [])]
        image = resample_through(load(inputs.image), grid, chain, fill=inputs.fill)
        mask = mask_through(load(inputs.mask), grid, chain)
        about = sidecars.Provenance(space.name, inputs.reference, sloppy=inputs.sloppy)
        raw = scan.path.relative_to(inputs.raw_dir).as_posix()
        sidecar = sidecars.in_space(
            about,
            scan.contrast,
            raw,
            space,
            sha256=inputs.fingerprint,
            decisions=inputs.decisions,
            corrected=inputs.corrected,
            stripped=inputs.stripped,
            given=inputs.given.get("image", ""),
        )
        dtype = "int16" if scan.contrast == CT else "float32"
        write_image(image, out / names.in_space(visit, scan, space), sidecar, dtype=dtype)
        if scan.contrast == inputs.reference:
            sources = [inputs.given.get("mask", sidecars.raw_uri(raw))]
            sidecar = sidecars.space_mask(about, scan.contrast, sources, space, inputs.found_by)
            write_image(mask, out / names.space_mask(visit, scan, space), sidecar, dtype="uint8")
        figure = out / names.figure(visit, space.label, scan.contrast)
        figure.parent.mkdir(parents=True, exist_ok=True)
        registration_figure(template.image, image, template.mask, figure)
        return mask_overlap(mask, template.mask)

    def _write_transforms(self, visit: Visit, scan: Scan, space: Space, files: tuple[str, str]) -> None:
        inputs, out = self.inputs, Path(self.inputs.out_dir)
        raw = scan.path.relative_to(inputs.raw_dir).as_posix()
        about = sidecars.Provenance(space.name, inputs.reference, sloppy=inputs.sloppy)
        for other in TYPES.keys() - {inputs.kind}:  # of an earlier run: the sidecar of both has one name
            for path in names.template_transforms(visit, scan, space, other):
                (out / path).unlink(missing_ok=True)
        for path, file in zip(names.template_transforms(visit, scan, space, inputs.kind), files, strict=True):
            sidecar = sidecars.template_transform(about, scan.contrast, raw, space, TYPES[inputs.kind])
            write_json(sidecar, out / names.sidecar(path))
            write_bytes(Path(file).read_bytes(), out / path)


def template_names(spaces: list[Space]) -> list[str]:
    """Return the templates of spaces, each once, in their order."""
    return list(dict.fromkeys(space.name for space in spaces))


def space_outputs(visit: Visit, scan: Scan, reference: str, spaces: list[Space], kind: str) -> list[str]:
    """Return the paths of everything that is written for a scan in standard spaces."""
    images = [names.in_space(visit, scan, space) for space in spaces]
    if scan.contrast == reference:
        images += [names.space_mask(visit, scan, space) for space in spaces]
        transforms = [path for space in spaces for path in names.template_transforms(visit, scan, space, kind)]
        images += dict.fromkeys(transforms)
    figures = [names.figure(visit, space.label, scan.contrast) for space in spaces]
    return [*images, *map(names.sidecar, images), *figures]
