"""Derivatives as the participant level leaves them, of images that nobody looks at."""

import dataclasses
from pathlib import Path

import nibabel as nib
import numpy as np

from bidsapp.bids import names, sidecars, sink
from bidsapp.bids.dataset import SCANS_COLUMNS
from bidsapp.records import CT, Scan
from bidsapp.scales import IntensityScale
from bidsapp.synthesis.uncertainty import RANKS, Calibration, Residuals

SCALE = IntensityScale("robust", 100.0, 20.0)
# Of two people in two folds, whose errors are as Laplace's distribution has them.
CALIBRATION = Calibration(
    tuple(Residuals(f"sub-{n}", f"sub-{n}", n, tuple((-np.log1p(-np.array(RANKS))).tolist())) for n in range(2))
)
HU = IntensityScale("hu", 0.0, 1000.0)


def write_visit(
    out, visit, flags="", *, method="robust", spacing=2.0, sha256="f" * 64, shape=(5, 6, 7), sloppy=False
):
    """Write a visit's images of noise, sidecars and table; `flags` are those of the FLAIR."""
    affine = np.diag([spacing, spacing, spacing, 1])
    image = nib.Nifti1Image(np.random.default_rng(0).normal(size=shape), affine)
    image.set_sform(affine, 1)
    reference = names.preproc(visit, visit.scan("T1w"), "T1w")
    about = sidecars.Provenance(reference, "T1w", sloppy=sloppy)
    rows = []
    for scan in visit.scans:
        scale = HU if scan.contrast == CT else dataclasses.replace(SCALE, method=method)
        raw = f"sub-{visit.subject}/ses-A/anat/{visit.label}_{scan.contrast}.nii.gz"
        preproc, normalized, mask = (
            f(visit, scan, "T1w") for f in (names.preproc, names.normalized, names.brain_mask)
        )
        sidecar = sidecars.preproc(about, scan.contrast, raw, sha256=sha256, decisions=(), resolution="1 mm")
        sink.write_image(image, out / preproc, sidecar)
        sink.write_image(
            image, out / normalized, sidecars.normalized(about, scan.contrast, (preproc, mask), scale)
        )
        sink.write_image(
            image,
            out / mask,
            sidecars.mask(about, scan.contrast, [sidecars.raw_uri(raw)], "deepbet"),
            dtype="uint8",
        )
        masks = [names.head_mask] if scan.contrast in {"T1w", CT} else []
        for path_of in [*masks, *([names.measured_region] if scan.contrast == CT else [])]:
            about_head = sidecars.head_mask(about, scan.contrast, preproc)
            sink.write_image(image, out / path_of(visit, scan, "T1w"), about_head, dtype="uint8")
        flag = flags if scan.contrast == "FLAIR" else ""
        rows.append({"filename": f"anat/{Path(preproc).name}", "contrast": scan.contrast, "flags": flag})
    path = names.synth(visit, [visit.scan("T1w")], "FLAIR")
    sidecar = sidecars.synth(
        sources=[preproc],
        source_contrasts=("T1w",),
        target_contrast="FLAIR",
        model={"Name": "m", "Version": "1", "SHA256": "0"},
        in_training_set=True,
        fold=2,
        scale=SCALE,
        source_sha256=sha256,
        reference=sidecars.own_uri(reference),
        sloppy=False,
    )
    sink.write_image(image, out / path, sidecar)
    transform = names.transform(visit, Scan(Path("f"), "FLAIR"), "T1w")
    sink.write_text("#", out / transform)
    sink.write_json(sidecars.transform(about, "FLAIR", ("a",), "Rigid"), out / names.sidecar(transform))
    sink.write_text("", out / names.report(visit))
    sink.write_text("", out / names.figure(visit, "brain", "T1w"))
    sink.write_tsv(rows, out / names.scans_table(visit), ["filename", *SCANS_COLUMNS])
