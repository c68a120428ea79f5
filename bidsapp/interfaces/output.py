"""The end of a scan's path: everything into the derivatives, each with its sidecar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, isdefined, traits

from bidsapp.bids import names, sidecars
from bidsapp.bids.sink import write_bytes, write_image, write_json
from bidsapp.interfaces.base import Step, load
from bidsapp.records import IntensityScale, Scan, Visit

RECORD_FILE = "record.json"


class _SinkScanInput(BaseInterfaceInputSpec):
    out_dir = traits.Str(mandatory=True)
    raw_dir = traits.Str(mandatory=True)
    visit = traits.Any(mandatory=True, desc="Visit")
    contrast = traits.Str(mandatory=True)
    reference = traits.Str(mandatory=True, desc="contrast of the reference")
    spacing = traits.Float(mandatory=True)
    sloppy = traits.Bool(mandatory=True)
    preproc = File(exists=True, mandatory=True)
    normalized = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True)
    transform = File(exists=True)
    figure = File(exists=True, mandatory=True)
    scale = traits.Dict(mandatory=True)
    numbers = traits.Dict(mandatory=True)
    decisions = traits.List(traits.Str, mandatory=True)
    fingerprint = traits.Str(mandatory=True)


class _SinkScanOutput(TraitedSpec):
    record = File(desc="what the visit's table and report need to know")


class SinkScan(Step):
    """Write a scan's derivatives."""

    input_spec = _SinkScanInput
    output_spec = _SinkScanOutput

    def step(self, folder: Path) -> dict[str, Any]:
        """Write files and return the record of what was written."""
        visit: Visit = self.inputs.visit
        scan = visit.scan(self.inputs.contrast)
        self._write_images(visit, scan)
        figure = write_bytes(
            Path(self.inputs.figure).read_bytes(), self._path(scan_figure(visit, scan, self._reference))
        )
        scale = self.inputs.scale
        preproc = names.preproc(visit, scan, self._reference)
        row = {
            "filename": f"anat/{Path(preproc).name}",
            "contrast": scan.contrast,
            **self.inputs.numbers,
            "scale_offset": scale["offset"],
            "scale_scale": scale["scale"],
        }
        record = {
            "row": row,
            "decisions": list(self.inputs.decisions),
            "outputs": scan_outputs(visit, scan, self._reference),
            "figure": figure.relative_to(self.inputs.out_dir).as_posix(),
        }
        return {"record": str(write_json(record, folder / RECORD_FILE))}

    @property
    def _reference(self) -> str:
        return str(self.inputs.reference)

    def _path(self, relative: str) -> Path:
        return Path(self.inputs.out_dir) / relative

    def _write_images(self, visit: Visit, scan: Scan) -> None:
        reference = visit.scan(self._reference)
        parent = names.preproc(visit, reference, self._reference)
        provenance = sidecars.Provenance(parent, self._reference, sloppy=self.inputs.sloppy)
        raw, raw_reference = (s.path.relative_to(self.inputs.raw_dir).as_posix() for s in (scan, reference))
        mask = names.brain_mask(visit, scan, self._reference)
        preproc = names.preproc(visit, scan, self._reference)
        write_image(
            load(self.inputs.mask), self._path(mask), sidecars.mask(provenance, scan.contrast, raw), dtype="uint8"
        )
        about = sidecars.preproc(
            provenance,
            scan.contrast,
            raw,
            sha256=self.inputs.fingerprint,
            decisions=self.inputs.decisions,
            resolution=f"{self.inputs.spacing:g} mm isotropic, cubic B-spline",
        )
        write_image(load(self.inputs.preproc), self._path(preproc), about)
        scale = IntensityScale(**self.inputs.scale)
        about = sidecars.normalized(provenance, scan.contrast, (preproc, mask), scale)
        write_image(
            load(self.inputs.normalized), self._path(names.normalized(visit, scan, self._reference)), about
        )
        if isdefined(self.inputs.transform):
            path = names.transform(visit, scan, self._reference)
            about = sidecars.transform(provenance, scan.contrast, (raw, raw_reference))
            write_json(about, self._path(names.sidecar(path)))
            write_bytes(Path(self.inputs.transform).read_bytes(), self._path(path))


def scan_figure(visit: Visit, scan: Scan, reference: str) -> str:
    """Return the path of a scan's figure: its brain mask for the reference, its alignment for another."""
    return names.figure(visit, "brain" if scan.contrast == reference else "registration", scan.contrast)


def scan_outputs(visit: Visit, scan: Scan, reference: str) -> list[str]:
    """Return the paths of everything that is written for a scan, relative to the derivatives."""
    images = [f(visit, scan, reference) for f in (names.preproc, names.normalized, names.brain_mask)]
    if scan.contrast != reference:
        images.append(names.transform(visit, scan, reference))
    return [*images, *map(names.sidecar, images), scan_figure(visit, scan, reference)]


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record that a finished `SinkScan` left in its folder, ``None`` where it did not finish."""
    path = folder / RECORD_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
