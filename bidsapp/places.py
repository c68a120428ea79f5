"""Where a run keeps its intermediate files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def work_folder(work_dir: Path | None, output_dir: Path, bids_dir: Path) -> Path:
    """Return the folder of a run's intermediate files, which it shares with runs on the same data only.

    Every dataset has a ``sub-01``: in one folder, runs at the same time would read each other's images.

    Parameters
    ----------
    work_dir : Path or None
        The folder that was named, maybe for runs on many datasets.
    output_dir, bids_dir : Path
        Tell this run's data from those of others.

    Returns
    -------
    Path
        ``work`` in the output folder, or a folder of a folder that was named.
    """
    if work_dir is None:
        return output_dir / "work"
    try:
        number = output_dir.stat().st_ino  # every container calls its folders /data and /out
    except OSError:
        number = 0  # it is not there yet
    data = f"{output_dir.resolve()}\0{bids_dir.resolve()}\0{number}"
    return work_dir / hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
