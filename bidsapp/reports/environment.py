"""What a run was: the command line, and what it ran with."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bidsapp import __version__

# What an image's numbers depend on.
PACKAGES = (
    *("antspyx", "deepbet", "matplotlib", "nibabel", "nilearn", "nipype", "niworkflows", "numpy", "pybids"),
    *("scikit-image", "scipy", "torch"),
)


def command_line() -> str:
    """Return the command of this process, as a shell takes it."""
    name = Path(sys.argv[0]).name
    return shlex.join(["synthprep" if name == "__main__.py" else name, *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Return what this process runs with and its version; a package that is absent is left out."""
    found = {"SynthPrep": __version__, "Python": platform.python_version()}
    found["System"] = f"{platform.system()} {platform.machine()}"
    if os.environ.get("SYNTHPREP_CONTAINER"):
        found["Container"] = os.environ["SYNTHPREP_CONTAINER"]
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
