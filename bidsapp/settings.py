"""The settings of a run: frozen, typed, and the same thing as a TOML file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsapp.places import work_folder
from bidsapp.records import CT, Space

LEVELS = ("participant", "group")
DEVICES = ("auto", "cpu", "cuda")
MAX_MINUTES = 60.0
NETWORKS = ("unet", "unet-base", "seed-resnet", "segresnet", "dynunet")
# Normalizations of the article's network; the others have batch normalization.
NORMS = ("batch", "weight", "spectral")
LOSSES = ("l1", "mse", "l1+ssim", "l1+gradient", "l1+gradient+bone")
# Of a CT alone, whose numbers tell bone.
CT_LOSSES = ("l1+gradient+bone",)
SPATIAL_AUGMENTATIONS = ("spatial", "spatial+physics")
AUGMENTATIONS = ("none", "intensity", "physics", *SPATIAL_AUGMENTATIONS)
SAMPLINGS = ("foreground", "error")
# What a network is shown at once; those of two dimensions, along an axis, and networks that work in a plane.
INPUT_MODES = ("patches", "volumes", "slabs", "slices", "slice-patches")
SLICED_MODES = ("slabs", "slices", "slice-patches")
SLICE_AXES = ("axial", "coronal", "sagittal")
PLANAR_NETWORKS = ("unet", "unet-base", "seed-resnet", "dynunet")
BIAS_CORRECTIONS = ("n4", "precomputed", "none")
SKULL_STRIPPERS = ("deepbet", "robex", "template", "precomputed", "skip", "auto")
REFERENCE_POLICIES = ("first", "best")
SYNTH_SPACES = ("source", "native")
MATCH_NORMALIZED = "normalized"  # what --match-to takes besides an image
EXPORTS = ("onnx", "torchscript")
# Of whom the intermediate files are kept: of nobody, of visits that failed, of all.
KEEP_WORK = ("never", "on-error", "always")
REGISTRATIONS = ("rigid", "affine")
TEMPLATE_REGISTRATIONS = ("syn", "affine")
# Those that the group level fits to a cohort, and the scale that images get before, at the participant level.
POPULATION_NORMALIZATIONS = {"nyul": "robust", "lsq": "robust", "ravel": "whitestripe"}
NORMALIZATIONS = ("robust", "zscore", "fcm", "kde", "whitestripe", *POPULATION_NORMALIZATIONS, "none")


@dataclass(frozen=True)
class Settings:
    """All that a run was asked to do. ``None`` means "decide from the data or from what was granted".

    Attributes
    ----------
    bids_dir, output_dir : Path
        The raw dataset (never written to) and the derivatives.
    levels : tuple of str
        ``participant``, ``group``, or both.
    participant_label, session_label : tuple of str
        Labels to restrict the run to, without ``sub-`` and ``ses-``; empty means all.
    shard : str or None
        ``3/20``: of these participants, the third of twenty parts.
    bids_filter_file : Path or None
        JSON of pybids entity filters per contrast.
    bids_database_dir : Path or None
        Folder of a pybids index of the dataset, kept for other runs.
    skip_bids_validation : bool
        Go on where ``dataset_description.json`` is missing or incomplete.
    work_dir : Path or None
        Where intermediate files live, in a folder for these data; default ``work`` in the output folder.
    use_plugin : str or None
        How steps of the participant level are run: a Nipype plugin's name, or the path of a YAML file.
    keep_work : str
        Whose stay there once a visit has been worked on: ``never`` anybody's, ``on-error`` those of visits that
        failed, ``always`` all. An interrupted run keeps what it goes on from.
    nprocs, omp_nthreads : int or None
        Processes at a time, and threads of the group level; a step of the participant level takes one.
    mem_gb : float or None
        Memory that the run may use, GB.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    devices, num_nodes : int
        Processes that share each training: on each computer, with a GPU of its own where networks run on GPUs, and
        computers.
    reference : str
        The contrast whose grid the visit's images share.
    reference_policy : str
        Which of several reference scans of a visit is used: the ``first``, or the ``best``: the finest voxels,
        then the least motion.
    derivatives : tuple of str
        ``NAME=PATH`` of datasets whose transforms, and with ``--skull-strip precomputed`` masks, are used.
    contrasts : tuple of str
        Contrasts to preprocess besides reference, sources and target.
    bias_correction : str
        ``n4``, ``none``, or ``precomputed``: the preprocessed images of ``derivatives`` take the place of the
        acquired ones, and N4 corrects those that have none. A CT never is corrected.
    write_bias_field : bool
        Write the bias field, too.
    skull_strip : str
        How the brain is found on MR: ``auto`` is deepbet, and a template where that fails; ``precomputed`` are the
        masks of ``derivatives``; ``skip`` is for images that came without skull.
    registration : str
        ``rigid`` or ``affine``.
    resolution : str
        Voxel edges of the visit's grid, mm: ``1``; ``1,1,2``, left-right, front-back and up-down; or ``native``,
        the reference's own grid.
    output_spaces : tuple of str
        Standard spaces to write preprocessed images in, too: ``NAME`` or ``NAME:res-MM``. The reference's own
        space, which always is written, may stand among them.
    template_registration : str
        ``syn`` or ``affine``: how the reference is registered to their templates.
    normalization : str
        Intensity scale of MR; a CT keeps its Hounsfield units.
    source : tuple of str
        Contrasts to predict from.
    allow_missing_source : bool
        Learn to do without some of several sources, and predict visits that have at least one; a bundle brings it.
    target : str
        Contrast to predict.
    network : str
        Name in the registry of networks.
    norm : str
        Normalization of ``seed-resnet``: ``batch``, ``weight`` or ``spectral``.
    input_mode : str
        What the network is shown at once: 3D ``patches``, whole ``volumes``, 2D ``slices`` or ``slice-patches``,
        or ``slabs``, slices with their neighbours.
    slice_axis : str or None
        In which plane slices lie; by default ``axial``.
    loss : str or None
        What the training minimizes in the brain, of a CT in the head; by default what suits the network.
    ema : float or None
        Width of the weights' running average, as a share of the steps, 0 for none; by default as networks want.
    augmentation : str or None
        How training patches are varied; by default as suits the network.
    sampling : str or None
        Where they are drawn, ``foreground`` or ``error``; by default as suits the network.
    lr : str or None
        Peak learning rate, or ``auto``: found by a range test; by default what suits the network.
    baseline : bool
        Also train the article's network on the same folds and minutes, for the tables to compare with.
    crossval : bool
        Leave one participant out, with ``max_minutes`` for each fold and network.
    splits : Path or None
        A table of participants and folds, to be used again instead of drawing folds.
    stratify : str or None
        A column of ``participants.tsv`` that folds are balanced by.
    axial_range : str or None
        ``20,80``: percent of the brain's extent from below to above, between which is learned and measured.
    model : Path or None
        A bundle to apply; nothing is trained.
    export : str or None
        Format in which the mean of the bundle's networks is written for other software, too.
    synth_space : str
        Grid of synthesized images: ``source``, the visit's common one, or ``native``, the acquired reference's.
    match_to : str or None
        Whose intensities they have: the path of a preprocessed image of the target, ``normalized`` for none, or by
        default the training cohort's typical ones. A CT has Hounsfield units.
    plan : tuple of str
        ``FIELD=VALUE`` of the plan's fields that a person sets and that have no setting of their own.
    init_from : Path or None
        A bundle whose networks are trained on, instead of new ones.
    max_minutes : float or None
        Of the group level, or of each fold and network with ``crossval``; `MAX_MINUTES` where nothing is counted.
    max_steps : int or None
        Optimizer steps for each fold and network; without minutes a run on processors repeats to the bit.
    epochs : float or None
        Length of each training in epochs: each draws as many voxels as the brains of all training pairs have, or
        as many whole volumes or slices.
    seed : int
        Seed of every random number of the group level; ANTs' seed is fixed.
    sloppy : bool
        Coarse and quick, for tests only; said in every sidecar.
    dry_run : bool
        Say what would be processed and how it would be trained, and stop.
    reports_only : bool
        Write the pages anew from what is on disk.
    write_graph : bool
        Write the graph of a visit's steps to the logs.
    boilerplate_only : bool
        Write the methods text of these settings, and stop.
    stop_on_first_crash, debug : bool
        Stop at the first failing node; keep and print more.
    verbosity : int
        0 warnings, 1 information, 2 and more: debugging.
    """

    bids_dir: Path
    output_dir: Path
    levels: tuple[str, ...]
    participant_label: tuple[str, ...] = ()
    session_label: tuple[str, ...] = ()
    shard: str | None = None
    bids_filter_file: Path | None = None
    bids_database_dir: Path | None = None
    skip_bids_validation: bool = False
    work_dir: Path | None = None
    use_plugin: str | None = None
    keep_work: str = "always"
    nprocs: int | None = None
    omp_nthreads: int | None = None
    mem_gb: float | None = None
    device: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    reference: str = "T1w"
    reference_policy: str = "first"
    derivatives: tuple[str, ...] = ()
    contrasts: tuple[str, ...] = ()
    bias_correction: str = "n4"
    write_bias_field: bool = False
    skull_strip: str = "deepbet"
    registration: str = "rigid"
    resolution: str = "1"
    output_spaces: tuple[str, ...] = ()
    template_registration: str = "syn"
    normalization: str = "robust"
    source: tuple[str, ...] = ("T1w",)
    allow_missing_source: bool = False
    target: str = "FLAIR"
    network: str = "unet"
    norm: str = "batch"
    input_mode: str = "patches"
    slice_axis: str | None = None
    loss: str | None = None
    ema: float | None = None
    augmentation: str | None = None
    sampling: str | None = None
    lr: str | None = None
    baseline: bool = True
    crossval: bool = False
    splits: Path | None = None
    stratify: str | None = None
    axial_range: str | None = None
    model: Path | None = None
    export: str | None = None
    synth_space: str = "source"
    match_to: str | None = None
    plan: tuple[str, ...] = ()
    init_from: Path | None = None
    max_minutes: float | None = None
    max_steps: int | None = None
    epochs: float | None = None
    seed: int = 0
    sloppy: bool = False
    dry_run: bool = False
    reports_only: bool = False
    write_graph: bool = False
    boilerplate_only: bool = False
    stop_on_first_crash: bool = False
    debug: bool = False
    verbosity: int = 0

    @property
    def wanted(self) -> tuple[str, ...]:
        """Contrasts that a visit is searched for, the reference first."""
        return tuple(dict.fromkeys((self.reference, *self.source, self.target, *self.contrasts)))

    @property
    def spaces(self) -> tuple[Space, ...]:
        """Standard spaces to write images in."""
        words = dict.fromkeys(word for word in self.output_spaces if word != self.reference)
        return tuple(Space.parse(word) for word in words)

    @property
    def axial(self) -> tuple[float, float] | None:
        """The axial range as numbers; `ValueError` where it is none."""
        if self.axial_range is None:
            return None
        low, high = map(float, self.axial_range.split(","))
        if not 0 <= low < high <= 100:
            raise ValueError(f"{self.axial_range!r} does not rise from 0 to 100")
        return low, high

    @property
    def processes(self) -> int:
        """Processes that share each training."""
        return self.devices * self.num_nodes

    @property
    def work(self) -> Path:
        """Folder of the intermediate files."""
        return work_folder(self.work_dir, self.output_dir, self.bids_dir)

    def to_toml(self) -> str:
        """Return the settings as TOML; a value of ``None`` is left out."""
        import tomli_w

        return tomli_w.dumps({k: _plain(v) for k, v in dataclasses.asdict(self).items() if v is not None})

    @classmethod
    def known_names(cls) -> frozenset[str]:
        """Names that a settings file may contain."""
        return frozenset(field.name for field in dataclasses.fields(cls))


def visit_scale(normalization: str, contrast: str) -> str:
    """Return the intensity scale that the participant level gives an image; a CT keeps its Hounsfield units."""
    return "hu" if contrast == CT else POPULATION_NORMALIZATIONS.get(normalization, normalization)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
