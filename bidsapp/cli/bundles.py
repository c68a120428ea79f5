"""Bundles that a command line names: what they decide, and what has to fit them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bidsapp.admission import check_asked, check_contrasts
from bidsapp.bids import names
from bidsapp.errors import NoInputError, UsageError
from bidsapp.records import Plan
from bidsapp.synthesis.library import known_names
from bidsapp.synthesis.manifest import BUNDLE_FILE, contrasts_of, images_of, read_manifest
from bidsapp.synthesis.overrides import read_overrides

if TYPE_CHECKING:
    from pathlib import Path

    from bidsapp.settings import Settings
    from bidsapp.synthesis.manifest import Images

FOLDER = "give the folder that a group level wrote in models/"
# What a network keeps that is trained further.
NETWORK = ("network", "norm", "input_mode", "slice_axis")
# Voxel edges of a grid, mm. Coarser, and a cortex is a voxel; finer, and a visit is no longer held in memory.
EDGE_MM = (0.3, 5.0)


def said_by(model: Path | None, init_from: Path | None = None) -> dict[str, Any]:
    """Return the settings that a bundle decides where nobody else does.

    They make images what it knows and, where it is trained further, the network what it is.
    """
    bundle = model or init_from
    if bundle is None or not (bundle / BUNDLE_FILE).is_file():
        return {}
    manifest = read_manifest(bundle)
    images, (source, target) = images_of(manifest, bundle), contrasts_of(manifest, bundle)
    plan = manifest["Plan"]
    return {
        "normalization": images.normalization,
        "reference": images.reference,
        "source": source,
        "target": target,
        "allow_missing_source": bool(plan.get("sources_may_miss")),
        **_resolution(images),
        **({} if model else {name: plan[name] for name in NETWORK if plan.get(name)}),
    }


def _resolution(images: Images) -> dict[str, str]:
    """Return the edge that all voxels have; nothing where they are no cubes or differ, as on native grids."""
    edges = {round(edge, 3) for ends in images.spacing_mm for edge in ends}
    edge, (low, high) = min(edges, default=0.0), EDGE_MM
    return {"resolution": f"{edge:g}"} if len(edges) == 1 and low <= edge <= high else {}


def check_export(form: str | None) -> None:
    """Raise an error where what writes an export is not installed."""
    if form == "onnx" and not all(map(find_spec, ("onnx", "onnxscript"))):
        raise UsageError("ONNX is written by packages that are not installed", "pip install 'synthprep[onnx]'")


def check_model(settings: Settings) -> None:
    """Raise an error where there is no such bundle to apply, or it does not do what was asked for."""
    if settings.model is None:
        if "group" in settings.levels and settings.normalization == "none":
            raise UsageError(
                "--normalization none: a network learns from images on a common intensity scale",
                "give another one, such as robust, or the participant level alone",
            )
        return
    if settings.crossval:
        raise UsageError("--model trains nothing, --crossval asks for training", "give one of them")
    if not settings.model.exists():
        raise NoInputError(f"{settings.model}: no such bundle", f"{FOLDER}, {known_names()}")
    manifest = read_manifest(settings.model)
    check_contrasts(settings, *contrasts_of(manifest, settings.model), settings.model)
    check_asked(settings, images_of(manifest, settings.model), settings.model)


def check_start(settings: Settings) -> None:
    """Raise an error where there is no such bundle to train further, or its network is not what was asked for."""
    bundle = settings.init_from
    if bundle is None:
        return
    if settings.model is not None:
        raise UsageError("--model trains nothing, --init-from says where a training starts", "give one of them")
    if not bundle.exists():
        raise NoInputError(f"{bundle}: no such bundle", f"{FOLDER}, {known_names()}")
    manifest = read_manifest(bundle)
    check_contrasts(settings, *contrasts_of(manifest, bundle), bundle)
    check_asked(settings, images_of(manifest, bundle), bundle)
    plan = manifest["Plan"]
    # What an older bundle does not say was not yet to be chosen.
    was = {name: plan.get(name, getattr(Plan, name, None)) for name in NETWORK}
    was["allow_missing_source"] = bool(plan.get("sources_may_miss"))
    for name, value in was.items():
        asked = getattr(settings, name)
        if value != asked:
            option = name.replace("_", "-")
            raise UsageError(f"{bundle}: its {name} is {value}, not {asked}", f"leave out --{option}")
    for field in ("channels", "features"):
        if field in read_overrides(settings.plan):
            raise UsageError(f"--plan {field}: the bundle's network has its own", "leave it out")
    goal = settings.output_dir / names.bundle(settings.source, settings.target, settings.network)
    if bundle.resolve() == goal.resolve():
        raise UsageError(
            f"--init-from {bundle}: the new bundle would take its place",
            "copy it, or give another output folder",
        )
