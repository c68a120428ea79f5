"""MINC 1 (netCDF) and MINC 2 (HDF5), packed by gzip or not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

from bidsapp.formats.limits import check_claim, is_gzip, unpack
from bidsapp.formats.volume import ReadOptions, Volume, check_type, one_volume

SCALED = "Values are real ones: each slice's range was applied, as MINC stores it."


def read_minc(path: Path, options: ReadOptions) -> Volume:
    """Read a MINC image; axes stay in the order of the file, and the affine says where they go."""
    if not is_gzip(path):
        return _read(path, path, options)
    with tempfile.TemporaryDirectory() as folder:
        return _read(path, unpack(path, Path(folder) / "unpacked.mnc"), options)


def _read(path: Path, unpacked: Path, options: ReadOptions) -> Volume:
    image = nib.load(unpacked)
    check_type(path, image.get_data_dtype())
    # MINC has time first, and nibabel leaves it there.
    several = image.shape[:-3]
    one_volume(path, image.shape[-3:] + several, options.volume)
    check_claim(path, image.shape, 8)
    data = np.asarray(image.dataobj)
    if several:
        data = data.reshape(-1, *image.shape[-3:])[options.volume or 0]
    return Volume(data, image.affine, 1, (SCALED,))
