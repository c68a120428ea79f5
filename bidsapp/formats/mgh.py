"""FreeSurfer's MGH and MGZ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bidsapp.formats.limits import check_claim, check_gzip, check_stored, is_gzip, stored_bytes
from bidsapp.formats.volume import ReadOptions, Volume, check_type, one_volume

if TYPE_CHECKING:
    from pathlib import Path

HEADER_BYTES = 284


def read_mgh(path: Path, options: ReadOptions) -> Volume:
    """Read an MGH image; its directions are a scanner's, unless its flag says that they are none."""
    image = nib.load(path)
    check_type(path, image.get_data_dtype())
    index = one_volume(path, image.shape, options.volume)
    claimed = check_claim(path, image.shape, image.get_data_dtype().itemsize)
    check_stored(path, claimed, stored_bytes(path))
    if is_gzip(path):
        check_gzip(path, claimed + HEADER_BYTES)
    said = () if int(image.header["goodRASFlag"]) else ("It has no directions: left and right are UNVERIFIED.",)
    return Volume(np.asarray(image.dataobj[(slice(None),) * 3 + index]), image.affine, 1, said)
