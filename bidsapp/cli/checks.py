"""Settings that are out of range or contradict each other: errors before anything starts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp.bids.precomputed import datasets
from bidsapp.cli.bundles import EDGE_MM, check_export, check_model, check_start
from bidsapp.cli.cluster import check_cluster
from bidsapp.cli.processes import check_processes
from bidsapp.errors import CannotCreateError, NoInputError, UsageError
from bidsapp.records import CT
from bidsapp.settings import (
    AUGMENTATIONS,
    BIAS_CORRECTIONS,
    CT_LOSSES,
    DEVICES,
    EXPORTS,
    INPUT_MODES,
    KEEP_WORK,
    LOSSES,
    MATCH_NORMALIZED,
    NETWORKS,
    NORMALIZATIONS,
    NORMS,
    PLANAR_NETWORKS,
    REFERENCE_POLICIES,
    REGISTRATIONS,
    SAMPLINGS,
    SKULL_STRIPPERS,
    SLICE_AXES,
    SLICED_MODES,
    SPATIAL_AUGMENTATIONS,
    SYNTH_SPACES,
    TEMPLATE_REGISTRATIONS,
)
from bidsapp.synthesis.overrides import check_size, read_overrides

if TYPE_CHECKING:
    from bidsapp.settings import Settings

POSITIVE = ("nprocs", "omp_nthreads", "mem_gb", "devices", "num_nodes", "max_minutes", "max_steps", "epochs")
LARGEST_SEED = 2**32 - 1
# The mean of all steps, rounded down (`bidsapp.synthesis.averaging`).
WIDEST_EMA = 0.28
RATES = (1e-7, 1.0)
# What fMRIPrep calls spaces that are no template's.
OWN_SPACES = frozenset({"anat", "func", "run", "sbref", "fsnative", "T1w", "T2w"})
CHOICES = {
    "network": NETWORKS,
    "loss": LOSSES,
    "augmentation": AUGMENTATIONS,
    "sampling": SAMPLINGS,
    "device": DEVICES,
    "reference_policy": REFERENCE_POLICIES,
    "bias_correction": BIAS_CORRECTIONS,
    "skull_strip": SKULL_STRIPPERS,
    "registration": REGISTRATIONS,
    "template_registration": TEMPLATE_REGISTRATIONS,
    "normalization": NORMALIZATIONS,
    "norm": NORMS,
    "input_mode": INPUT_MODES,
    "slice_axis": SLICE_AXES,
    "synth_space": SYNTH_SPACES,
    "export": EXPORTS,
    "keep_work": KEEP_WORK,
}


def check(settings: Settings) -> None:
    """Raise an error for values that are out of range, also in a settings file, or that contradict each other.

    Raises
    ------
    UsageError
        Names the value, and what would do.
    NoInputError
        There is no such bundle.
    """
    if settings.normalization == "hu":
        choices = ", ".join(NORMALIZATIONS)
        raise UsageError(
            "--normalization is of MR images; a CT is always on the HU scale", f"give one of {choices}"
        )
    if settings.norm in {"instance", "group"}:
        raise UsageError(
            f"--norm {settings.norm}: its statistics are the window's, so that the share of air in a window would "
            "shift the intensities predicted in it",
            f"give one of {', '.join(NORMS)}",
        )
    for name, known in CHOICES.items():
        value = getattr(settings, name)
        if value is not None and value not in known:
            raise UsageError(f"{name} = {value!r} is unknown", f"there is {', '.join(known)}")
    for name in POSITIVE:
        value = getattr(settings, name)
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{name} = {value} is not positive", "correct it")
    if not 0 <= settings.seed <= LARGEST_SEED:
        raise UsageError(f"seed = {settings.seed} is out of range", f"give 0 to {LARGEST_SEED}")
    _check_training(settings)
    check_start(settings)
    if settings.norm != "batch" and settings.network != "seed-resnet":
        raise UsageError(f"--norm {settings.norm}: {settings.network} has batch normalization", "leave it out")
    _check_contrasts(settings)
    _check_preprocessing(settings)
    _check_derivatives(settings)
    _check_spaces(settings)
    _check_ct(settings)
    _check_learning(settings)
    check_model(settings)
    check_export(settings.export)
    check_processes(settings)
    check_cluster(settings)
    _check_folders(settings)


def _check_training(settings: Settings) -> None:
    if settings.ema is not None and not 0 <= settings.ema <= WIDEST_EMA:
        raise UsageError(f"ema = {settings.ema} is out of range", f"give 0 to {WIDEST_EMA}, such as 0.05")
    if settings.epochs is not None and settings.max_steps is not None:
        raise UsageError("--epochs and --max-steps both say how long to train", "give one of them")
    if settings.lr not in {None, "auto"} and not _is_within(settings.lr, *RATES):
        raise UsageError(f"lr = {settings.lr!r}: no learning rate of {RATES[0]:g} to {RATES[1]:g}", "or give auto")
    if settings.input_mode in SLICED_MODES and settings.network not in PLANAR_NETWORKS:
        raise UsageError(
            f"--input-mode {settings.input_mode}: {settings.network} works in three dimensions only",
            f"give --network {', '.join(PLANAR_NETWORKS)}; or --input-mode patches or volumes",
        )
    if settings.slice_axis is not None and settings.input_mode not in SLICED_MODES:
        raise UsageError(
            f"--slice-axis {settings.slice_axis}: there are no slices with --input-mode {settings.input_mode}",
            f"give --input-mode {', '.join(SLICED_MODES)}; or leave the axis out",
        )
    for option, value, of_patches in (
        ("augmentation", settings.augmentation, SPATIAL_AUGMENTATIONS),
        ("sampling", settings.sampling, ("error",)),
    ):
        if value in of_patches and settings.input_mode != "patches":
            raise UsageError(
                f"--{option} {value} is for 3D patches, not for --input-mode {settings.input_mode}",
                "leave out one of them",
            )
    check_size(settings.network, settings.input_mode, read_overrides(settings.plan))


def _check_contrasts(settings: Settings) -> None:
    for contrast in settings.wanted:
        if not re.fullmatch("[A-Za-z0-9]+", contrast):
            raise UsageError(f"{contrast!r} is no contrast", "write it as file names end: T1w, T2w, FLAIR, ct")
    if not settings.source:
        raise UsageError("there is no source contrast", "give --source T1w")
    if settings.allow_missing_source and settings.model is None and len(settings.source) < 2:
        raise UsageError(
            "--allow-missing-source: of one source none can be missing", "give several: --source T1w,T2w"
        )
    if settings.target in settings.source:
        raise UsageError(f"{settings.target} is both source and target", "predict a contrast from others")
    if settings.target == settings.reference and "group" in settings.levels:
        raise UsageError(
            f"{settings.target} is both reference and target: visits that lack it would be skipped, not predicted",
            "give --reference a contrast that every visit has",
        )


def _check_preprocessing(settings: Settings) -> None:
    edges = settings.resolution.split(",")
    low, high = EDGE_MM
    if settings.resolution != "native" and (
        len(edges) not in {1, 3} or not all(_is_within(edge, low, high) for edge in edges)
    ):
        raise UsageError(
            f"resolution = {settings.resolution!r}: no voxel edges of {low:g} to {high:g} mm",
            "write 1, or 1,1,2, or native",
        )
    if settings.write_bias_field and settings.bias_correction == "none":
        raise UsageError("--bias-correction none leaves no bias field to write", "leave out --write-bias-field")
    if settings.reference == CT:
        raise UsageError("a CT cannot be the reference", "give --reference an MR contrast")
    if settings.normalization in {"fcm", "lsq", "ravel"} and settings.reference != "T1w":
        raise UsageError(
            f"--normalization {settings.normalization} finds tissues on a T1w", "give --reference T1w"
        )


def _check_derivatives(settings: Settings) -> None:
    known = datasets(settings.derivatives)
    if len(known) < len(settings.derivatives) or "raw" in known:
        raise UsageError("--derivatives: each dataset needs a name of its own, other than raw", "name them apart")
    for path in known.values():
        if not path.is_dir():
            raise NoInputError(f"{path}: no such folder", "give --derivatives NAME=PATH of a dataset")
    if settings.skull_strip == "precomputed" and not settings.derivatives:
        raise UsageError("--skull-strip precomputed has no masks to use", "give --derivatives NAME=PATH")
    if settings.bias_correction == "precomputed" and not settings.derivatives:
        raise UsageError("--bias-correction precomputed has no images to use", "give --derivatives NAME=PATH")


def _check_spaces(settings: Settings) -> None:
    try:
        spaces = settings.spaces
    except ValueError as error:
        raise UsageError(f"--output-spaces: {error}", "write MNI152NLin2009aSym or NAME:res-2") from error
    for space in spaces:
        if space.name in {*OWN_SPACES, settings.reference}:
            raise UsageError(
                f"--output-spaces {space.name} is a visit's own space, no standard one",
                "images in it are always written; --resolution sets their grid",
            )
    if spaces:
        from bidsapp.imaging.template import check_template

        for space in spaces:
            check_template(space.name, space.spacing_mm)


def _check_ct(settings: Settings) -> None:
    if settings.target == CT and settings.match_to is not None:
        raise UsageError(
            f"--match-to {settings.match_to}: a predicted CT has Hounsfield units, which are nobody's own",
            "leave it out",
        )
    if settings.target != CT and settings.loss in CT_LOSSES:
        others = ", ".join(loss for loss in LOSSES if loss not in CT_LOSSES)
        raise UsageError(
            f"--loss {settings.loss} finds bone by its Hounsfield units, which a {settings.target} has not",
            f"give --target {CT}, or --loss {others}",
        )


def _check_learning(settings: Settings) -> None:
    try:
        _ = settings.axial
    except ValueError as error:
        raise UsageError(f"--axial-range: {error}", "write two percentages, such as 20,80") from error
    if settings.match_to not in {None, MATCH_NORMALIZED} and not Path(settings.match_to).is_file():
        hint = f"give a preprocessed {settings.target} of some derivatives, or {MATCH_NORMALIZED}"
        raise NoInputError(f"--match-to {settings.match_to}: no such image", hint)
    if settings.stratify is not None:
        if "participant" in settings.levels:
            from bidsapp.bids.participants import column_of

            column_of(settings.bids_dir, settings.stratify)
        if settings.crossval or settings.splits or settings.model:
            raise UsageError("--stratify draws folds, other options leave none to draw", "leave out one of them")
    if settings.splits is None:
        return
    if settings.model is not None:
        raise UsageError("--model trains nothing, --splits says on whom to train", "give one of them")
    if settings.crossval:
        raise UsageError(
            "--crossval leaves out one participant at a time, --splits says whom to leave out",
            "give one of them; --plan minutes=N is of each training",
        )
    if not settings.splits.is_file():
        raise NoInputError(f"{settings.splits}: no such file", "give the splits.tsv of a bundle in models/")


def _is_within(word: str, low: float, high: float) -> bool:
    try:
        return low <= float(word) <= high
    except ValueError:
        return False


def _check_folders(settings: Settings) -> None:
    """Keep the raw dataset read only: BIDS has room for results in its ``derivatives/`` alone.

    What cannot be created is told at once, in a dry run, too.
    """
    raw = settings.bids_dir.resolve()
    kept = () if settings.bids_database_dir is None else (settings.bids_database_dir,)
    for folder in (settings.output_dir, settings.work, *kept):
        inside = folder.resolve()
        if inside.is_relative_to(raw) and inside.relative_to(raw).parts[:1] != ("derivatives",):
            raise UsageError(
                f"{folder}: lies in the raw dataset, which is never written to",
                f"give {settings.bids_dir / 'derivatives' / 'synthprep'}, or a folder elsewhere",
            )
        # These say no where `Path` would raise, as in a folder that may not be looked into.
        nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        if not os.path.isdir(nearest):  # noqa: PTH112
            raise CannotCreateError(f"{folder}: {nearest} is no folder", "give another folder")
