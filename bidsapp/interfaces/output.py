"""The end of a scan's path: everything into the derivatives, each with its sidecar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, isdefined, traits

from bidsapp.bids import names, sidecars
from bidsapp.bids.sink import write_bytes, write_image, write_json
from bidsapp.imaging.transforms import read_itk
from bidsapp.interfaces.base import Step, load
from bidsapp.interfaces.record import write_record
from bidsapp.records import CT, Scan, Visit
from bidsapp.scales import IntensityScale


class _SinkScanInput(BaseInterfaceInputSpec):
    out_dir = traits.Str(mandatory=True)
    raw_dir = traits.Str(mandatory=True)
    visit = traits.Any(mandatory=True, desc="Visit")
    contrast = traits.Str(mandatory=True)
    reference = traits.Str(mandatory=True, desc="contrast of the reference")
    resolution = traits.Str(mandatory=True, desc="voxel edges, as people write them")
    corrected = traits.Bool(True, usedefault=True, desc="whether the bias field was divided out")
    found_by = traits.Str(mandatory=True, desc="how the brain was found")
    stripped = traits.Bool(False, usedefault=True, desc="the scan came without skull")
    sloppy = traits.Bool(mandatory=True)
    preproc = File(exists=True, mandatory=True)
    normalized = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)
    head = File(exists=True, desc="head mask on the common grid, of the reference or a CT")
    measured = File(exists=True, desc="where a CT was scanned, without its table, on the common grid")
    field = File(exists=True, desc="bias field on the scan's own grid, where it is to be written")
    transform = File(exists=True)
    given = traits.Dict(usedefault=True, desc="image, mask, transform: BIDS URIs of those that somebody else made")
    figures = traits.Dict(mandatory=True, desc="what is shown → SVG")
    histogram = traits.Dict(usedefault=True, desc="of the brain, before normalization")
    header = traits.Dict(usedefault=True, desc="what the acquired file's header says")
    scale = traits.Dict(mandatory=True)
    numbers = traits.Dict(mandatory=True)
    decisions = traits.List(traits.Str, mandatory=True)
    fingerprint = traits.Str(mandatory=True)
    reference_fingerprint = traits.Str("", usedefault=True, desc="of the reference, where the scan is another")
    grid = traits.Dict(mandatory=True, desc="on which the scan was acquired")


class _SinkScanOutput(TraitedSpec):
    record = File(desc="what the visit's table and report need to know")


class SinkScan(Step):
    """Write a scan's derivatives."""

    input_spec = _SinkScanInput
    output_spec = _SinkScanOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Write files and return the record of what was written."""
        visit: Visit = self.inputs.visit
        scan, reference, out = (
            visit.scan(self.inputs.contrast),
            self.inputs.reference,
            Path(self.inputs.out_dir),
        )
        _write_images(self.inputs, visit, scan, out)
        if isdefined(self.inputs.head):
            _write_head(self.inputs, visit, scan, out)
        if isdefined(self.inputs.field):
            _write_field(self.inputs, visit, scan, out)
        if isdefined(self.inputs.transform):
            _write_transform(self.inputs, visit, scan, out)
        figures = _write_figures(self.inputs, visit, scan, out)
        row = {
            "filename": f"anat/{Path(names.preproc(visit, scan, reference)).name}",
            "contrast": scan.contrast,
            **self.inputs.numbers,
            "scale_offset": self.inputs.scale["offset"],
            "scale_scale": self.inputs.scale["scale"],
        }
        outputs = scan_outputs(visit, scan, reference, field=isdefined(self.inputs.field))
        said = {
            "row": row,
            "decisions": list(self.inputs.decisions),
            "header": dict(self.inputs.header),
            "raw": _raw(self.inputs, scan),
            "figures": figures,
        }
        return write_record(
            folder, out, [*outputs, *figures.values(), names.histogram(visit, scan.contrast)], said
        )


def _write_images(given: Any, visit: Visit, scan: Scan, out: Path) -> None:
    """Write mask, preprocessed and normalized image, each before those that name it as their source."""
    about, raw = _provenance(given, visit), _raw(given, scan)
    mask, preproc, normalized = (
        name(visit, scan, given.reference) for name in (names.brain_mask, names.preproc, names.normalized)
    )
    sidecar = sidecars.mask(about, scan.contrast, _sources(given, "mask", raw), given.found_by)
    write_image(load(given.mask), out / mask, sidecar, dtype="uint8")
    sidecar = sidecars.preproc(
        about,
        scan.contrast,
        raw,
        sha256=given.fingerprint,
        grid=given.grid,
        reference_sha256=given.reference_fingerprint,
        decisions=given.decisions,
        resolution=f"{given.resolution}, cubic B-spline",
        corrected=given.corrected,
        stripped=given.stripped,
        given=given.given.get("image", ""),
    )
    # CT is kept in whole Hounsfield units, as scanners write it.
    write_image(load(given.preproc), out / preproc, sidecar, dtype="int16" if scan.contrast == CT else "float32")
    scale = IntensityScale(**given.scale)
    sidecar = sidecars.normalized(about, scan.contrast, (preproc, mask), scale, stripped=given.stripped)
    write_image(load(given.normalized), out / normalized, sidecar)


def _write_head(given: Any, visit: Visit, scan: Scan, out: Path) -> None:
    preproc = names.preproc(visit, scan, given.reference)
    about, stripped = _provenance(given, visit), given.stripped and scan.contrast == CT
    sidecar = sidecars.head_mask(about, scan.contrast, preproc, stripped=stripped)
    write_image(load(given.head), out / names.head_mask(visit, scan, given.reference), sidecar, dtype="uint8")
    if isdefined(given.measured):
        sidecar = sidecars.measured_region(about, scan.contrast, preproc, stripped=stripped)
        path = out / names.measured_region(visit, scan, given.reference)
        write_image(load(given.measured), path, sidecar, dtype="uint8")


def _write_field(given: Any, visit: Visit, scan: Scan, out: Path) -> None:
    about, raw = _provenance(given, visit), _raw(given, scan)
    sidecar = sidecars.bias_field(about, scan.contrast, raw, stripped=given.stripped)
    write_image(load(given.field), out / names.bias_field(visit, scan), sidecar)


def _write_transform(given: Any, visit: Visit, scan: Scan, out: Path) -> None:
    path = names.transform(visit, scan, given.reference)
    sources = _sources(given, "transform", _raw(given, scan), _raw(given, visit.scan(given.reference)))
    kind = read_itk(Path(given.transform)).kind
    sidecar = sidecars.transform(_provenance(given, visit), scan.contrast, sources, kind)
    write_json(sidecar, out / names.sidecar(path))
    write_bytes(Path(given.transform).read_bytes(), out / path)


def _write_figures(given: Any, visit: Visit, scan: Scan, out: Path) -> dict[str, str]:
    """Write the figures and, for the figure of all visits, the histogram; return what is shown → path."""
    scale = {name.capitalize(): given.scale[name] for name in ("method", "offset", "scale")}
    content = {"Contrast": scan.contrast, **scale, **given.histogram}
    write_json(content, out / names.histogram(visit, scan.contrast))
    figures = {label: names.figure(visit, label, scan.contrast) for label in given.figures}
    for label, path in figures.items():
        write_bytes(Path(given.figures[label]).read_bytes(), out / path)
    return figures


def _provenance(given: Any, visit: Visit) -> sidecars.Provenance:
    grid = names.preproc(visit, visit.scan(given.reference), given.reference)
    return sidecars.Provenance(grid, given.reference, sloppy=given.sloppy)


def _sources(given: Any, kind: str, *raw: str) -> list[str]:
    """Return the URIs of what a mask or a transform was made from: acquired images, or one that was given."""
    return [given.given[kind]] if kind in given.given else [sidecars.raw_uri(path) for path in raw]


def _raw(given: Any, scan: Scan) -> str:
    return scan.path.relative_to(given.raw_dir).as_posix()


def scan_outputs(visit: Visit, scan: Scan, reference: str, *, field: bool = False) -> list[str]:
    """Return the paths of a scan's images and transform and of their sidecars, relative to the derivatives."""
    images = [f(visit, scan, reference) for f in (names.preproc, names.normalized, names.brain_mask)]
    if scan.contrast in {reference, CT}:
        images.append(names.head_mask(visit, scan, reference))
    if scan.contrast == CT:
        images.append(names.measured_region(visit, scan, reference))
    if field:
        images.append(names.bias_field(visit, scan))
    if scan.contrast != reference:
        images.append(names.transform(visit, scan, reference))
    return [*images, *map(names.sidecar, images)]
