"""What the simulation knows and a scanner does not: written beside the data, read by tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from bidsapp.bids.sink import write_image, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "sourcedata/truth"


@dataclass(frozen=True)
class ScanTruth:
    """The truth of one image, in its own grid.

    Attributes
    ----------
    contrast : str
        ``T1w``, ``FLAIR`` …
    motion : ndarray, shape (4, 4)
        Maps points of the T1w's space to points of this image's, RAS mm.
    bias : Nifti1Image
        The field that the signal was multiplied by.
    brain : Nifti1Image
        Brain mask, uint8.
    noise_free : Nifti1Image
        Signal without field, artefacts and noise, in the image's units.
    """

    contrast: str
    motion: NDArray[np.float64]
    bias: nib.Nifti1Image
    brain: nib.Nifti1Image
    noise_free: nib.Nifti1Image


def write_truth(root: Path, visit: str, truth: ScanTruth, settings: dict[str, Any]) -> None:
    """Write the truth of one image; `settings` are the numbers that were drawn for it."""
    folder = root / FOLDER / visit
    for name in ("bias", "brain", "noise_free"):
        image = getattr(truth, name)
        dtype = "uint8" if name == "brain" else "float32"
        write_image(image, folder / f"{truth.contrast}_{name}.nii.gz", {"Simulated": True}, dtype=dtype)
    content = {"MotionRAS": truth.motion.tolist(), **settings}
    write_json(content, folder / f"{truth.contrast}.json")


def read_truth(root: Path, visit: str, contrast: str) -> ScanTruth:
    """Read the truth of one image of a visit, e.g. ``sub-01_ses-1``."""
    folder = root / FOLDER / visit
    content = json.loads((folder / f"{contrast}.json").read_text(encoding="utf-8"))
    images = [
        nib.Nifti1Image.from_filename(folder / f"{contrast}_{name}.nii.gz")
        for name in ("bias", "brain", "noise_free")
    ]
    return ScanTruth(contrast, np.array(content["MotionRAS"]), *images)


def withheld(root: Path, visit: str, contrast: str) -> Path:
    """Return where the acquired image lies that the dataset lacks."""
    return root / FOLDER / visit / f"{visit}_{contrast}.nii.gz"
