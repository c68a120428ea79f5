"""One slice as the bytes of a file: TIFF or NumPy, float32, no date and no name in it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from bidsapp.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ENDINGS = {"tiff": ".tif", "npy": ".npy"}


def encoded(plane: NDArray[np.float32], ending: str) -> bytes:
    """Return a slice as a file, ``.tif`` (one uncompressed float32 page) or ``.npy``."""
    stream = io.BytesIO()
    if ending == ".npy":
        np.save(stream, plane, allow_pickle=False)
    else:
        import tifffile

        tifffile.imwrite(stream, plane, photometric="minisblack", metadata=None, software=False)
    return stream.getvalue()


def decoded(path: Path) -> NDArray[np.float32]:
    """Read a slice; `DataError` where it is none or not float32."""
    import tifffile

    try:
        plane = np.load(path, allow_pickle=False) if path.suffix == ".npy" else tifffile.imread(path)
    except (OSError, ValueError, EOFError, LookupError, tifffile.TiffFileError) as error:
        raise DataError(f"{path}: no readable slice: {error}", "write it again") from error
    if plane.ndim != 2 or plane.dtype != np.float32:
        message = f"{path}: {plane.dtype} of shape {plane.shape}, where a slice of float32 is expected"
        raise DataError(message, "save predictions as they were given: float32, one page")
    return np.asarray(plane)
