"""NIfTI 1 and 2, one file or a pair."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bidsapp.formats.deidentify import allowed
from bidsapp.formats.limits import check_claim, check_gzip, check_stored, is_gzip, stored_bytes
from bidsapp.formats.recognize import header_of
from bidsapp.formats.volume import ReadOptions, Volume, check_type, one_volume
from bidsapp.imaging.forms import chosen_affine

if TYPE_CHECKING:
    from pathlib import Path


def read_nifti(path: Path, options: ReadOptions) -> Volume:
    """Read a NIfTI image by the header policy of `bidsapp.imaging.headers`, but keep sheared axes.

    What its header and extensions say in words (description, file names, comments) is left behind. Of a JSON file
    beside it the fields that may be told are kept.
    """
    image = nib.load(header_of(path))
    check_type(path, image.get_data_dtype())
    index = one_volume(path, image.shape, options.volume)
    claimed = check_claim(path, image.shape[:3], image.get_data_dtype().itemsize) * math.prod(image.shape[3:])
    voxels = files_of_nifti(path)[-1]
    check_stored(path, claimed, stored_bytes(voxels))
    if is_gzip(voxels):
        check_gzip(voxels, int(image.dataobj.offset) + claimed)
    said: list[str] = []
    affine, code = chosen_affine(path, image, said)
    data = np.asarray(image.dataobj[(slice(None),) * 3 + index])
    return Volume(data, affine, code, tuple(said), _beside(path))


def files_of_nifti(path: Path) -> list[Path]:
    """Return the header and, where it is another file, the one with the voxels."""
    header = header_of(path)
    name = header.name.lower()
    if not name.removesuffix(".gz").endswith(".hdr"):
        return [header]
    stem = header.name[: -len(".hdr.gz") if name.endswith(".gz") else -len(".hdr")]
    for ending in (".img", ".img.gz", ".IMG"):
        if header.with_name(stem + ending).is_file():
            return [header, header.with_name(stem + ending)]
    from bidsapp.errors import DataError

    raise DataError(f"{header}: its .img file is missing", "the two belong together; fetch both")


def _beside(path: Path) -> dict[str, object]:
    """Return what may be told of a sidecar that another converter wrote; nothing where there is none."""
    sidecar = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if sidecar == path or not sidecar.is_file():
        return {}
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return allowed(content) if isinstance(content, dict) else {}
