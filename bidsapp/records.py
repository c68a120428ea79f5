"""The frozen records that flow between the rooms: created once, passed explicitly."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bidsapp.scales import Scale

# The suffix that datasets give to computed tomography; BIDS has none yet.
CT = "ct"


def region(target: str) -> str:
    """Return where a target is predicted, learned and measured, for a sentence."""
    return "the head and 10 mm around it" if target == CT else "the brain"


@dataclass(frozen=True)
class Scan:
    """One acquired image.

    Attributes
    ----------
    path : Path
        The image file in the raw dataset.
    contrast : str
        Its BIDS suffix: ``T1w``, ``FLAIR``, ``ct`` …
    entities : Mapping of str to str
        Its entities between ``ses`` and the suffix, short names as keys (``acq``, ``run`` …), in BIDS order.
    only : bool
        The raw visit has no other image of this contrast, so that a name without entities means this one.
    """

    path: Path
    contrast: str
    entities: Mapping[str, str] = field(default_factory=dict)
    only: bool = True


@dataclass(frozen=True)
class Space:
    """A standard space to write images in, ``MNI152NLin2009cAsym:res-2``.

    Attributes
    ----------
    name : str
        Name of its template, as TemplateFlow and BIDS have it.
    spacing_mm : int
        Voxel edge of the grid.
    res : str or None
        The ``res-`` label where one was asked for.
    """

    name: str
    spacing_mm: int = 1
    res: str | None = None

    @classmethod
    def parse(cls, word: str) -> Space:
        """Read ``NAME`` or ``NAME:res-MM``; `ValueError` for anything else."""
        match = re.fullmatch(r"([A-Za-z0-9]+)(?::res-0?([1-9]))?", word)
        if not match:
            raise ValueError(f"{word!r} is no space")
        return cls(match[1], int(match[2] or 1), match[2])

    @property
    def entities(self) -> dict[str, str]:
        """What file names say of it."""
        return {"space": self.name, **({"res": self.res} if self.res else {})}

    @property
    def label(self) -> str:
        """``MNI152NLin2009cAsym`` or ``MNI152NLin2009cAsymRes2``, for names without entities."""
        return self.name + (f"Res{self.res}" if self.res else "")


@dataclass(frozen=True)
class Visit:
    """What one participant-level graph gets: one participant's scans of one session, one per contrast."""

    subject: str
    session: str | None
    scans: tuple[Scan, ...]

    @property
    def label(self) -> str:
        """``sub-01`` or ``sub-01_ses-A``."""
        return f"sub-{self.subject}" + (f"_ses-{self.session}" if self.session else "")

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Contrasts that were acquired, in the order of the scans."""
        return tuple(scan.contrast for scan in self.scans)

    def scan(self, contrast: str) -> Scan:
        """Return the scan of a contrast; ``KeyError`` where the visit lacks it."""
        for scan in self.scans:
            if scan.contrast == contrast:
                return scan
        raise KeyError(contrast)


@dataclass(frozen=True)
class Skip:
    """A visit that this run leaves out, and why. A skip is no failure."""

    visit: str
    reason: str
    hint: str = ""


@dataclass(frozen=True)
class Unused:
    """An image of a visit that a run works on, which itself is not used, and why."""

    visit: str
    path: Path
    reason: str


@dataclass(frozen=True)
class Selection:
    """What a run works on, and what it leaves out."""

    visits: tuple[Visit, ...]
    skipped: tuple[Skip, ...]
    unused: tuple[Unused, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All it takes to rebuild a network, its input and its training; travels with the weights.

    Attributes
    ----------
    sources : tuple of str
        Contrasts that the network reads, in this order.
    target : str
        Contrast that it predicts.
    network : str
        Name in the registry of networks.
    channels : tuple of int
        Channels of each level, the first at full resolution.
    features : tuple of str
        Input channels besides the sources; see `bidsapp.synthesis.pairs.FEATURES`.
    patch : tuple of int
        Shape of what the network is shown at once in training, voxels of the common grid; the slicing axis last.
    batch : int
        Patches per step.
    loss : str
        What is minimized in the brain, or for a CT in the head; see `bidsapp.synthesis.losses.LOSSES`.
    learning_rate, warmup, weight_decay : float
        Peak of the one-cycle schedule, the share of the training in which it rises, and the decay of the weights.
    averaging : float
        Width of the running average of the weights that is kept (`bidsapp.synthesis.averaging.WeightAverage`), as
        a share of the steps; 0 keeps the last weights.
    augmentation : str
        How training patches are varied: ``none``; ``intensity``, which mirrors them and varies contrast,
        brightness and noise of the sources; ``physics``, which adds what scanners and moving heads do to them;
        ``spatial``, which adds small rotations and scalings; or both, ``spatial+physics``.
    flip_averaging : bool
        Whether a prediction is averaged with that of the left-right mirrored input.
    precision : str
        ``bf16-mixed`` or ``32-true``, as Lightning Fabric names them.
    minutes : float or None
        Time of one training; whichever of time and steps ends first. ``None``: steps or epochs alone end it.
    max_steps : int or None
        Optimizer steps of one training.
    epochs : float or None
        Its length in epochs (`bidsapp.synthesis.training.in_steps`), where that and not ``max_steps`` limits it.
    seed : int
        Seed of weights, patches and augmentation.
    norm : str
        Normalization of the network: ``batch``; for ``seed-resnet`` also ``weight`` or ``spectral``.
    optimizer : str
        ``adamw``, or ``muon`` beside it for convolutions; see `bidsapp.synthesis.optimizer`.
    input_mode : str
        What the network is shown: ``patches``, whole ``volumes``, or of two dimensions ``slices``,
        ``slice-patches`` and, with neighbouring slices, ``slabs``; see `bidsapp.synthesis.modes`.
    slice_axis : str or None
        ``axial``, ``coronal`` or ``sagittal`` where there are slices.
    sources_may_miss : bool
        Whether the network was taught to do without some of its sources (`bidsapp.synthesis.presence`).
    sampling : str
        Where patches are drawn: ``foreground``, evenly in the brain; ``error``, after the warm-up more often where
        the error is larger (`bidsapp.synthesis.difficulty`).
    """

    sources: tuple[str, ...]
    target: str
    network: str
    channels: tuple[int, ...]
    features: tuple[str, ...]
    patch: tuple[int, int, int]
    batch: int
    loss: str
    learning_rate: float
    warmup: float
    weight_decay: float
    averaging: float
    augmentation: str
    flip_averaging: bool
    precision: str
    minutes: float | None
    max_steps: int | None
    epochs: float | None
    seed: int
    norm: str = "batch"
    optimizer: str = "adamw"
    input_mode: str = "patches"
    slice_axis: str | None = None
    sources_may_miss: bool = False
    sampling: str = "foreground"

    @property
    def inputs(self) -> int:
        """Number of input channels: the sources, whether each is there if they may miss, then the features."""
        return len(self.sources) * (2 if self.sources_may_miss else 1) + len(self.features)

    @property
    def slices(self) -> int | None:
        """Slices that the network reads for each that it predicts; ``None`` for one of three dimensions."""
        return None if self.slice_axis is None else self.patch[2]


@dataclass(frozen=True)
class Identity:
    """By what a visit is recognized, usable or not: labels as of its `Pair`, and the same fingerprint."""

    visit: str
    participant: str
    fingerprint: str


@dataclass(frozen=True)
class Pair:
    """What the learning floor knows of a visit: normalized images on one grid.

    Attributes
    ----------
    visit, participant : str
        Labels, ``sub-01_ses-A`` and ``sub-01``.
    sources : tuple of (Path or None)
        Normalized source images, in the order of the plan's source contrasts; ``None`` where the visit lacks one.
    mask : Path
        Brain mask of the reference, where an image is predicted; for a CT its head mask.
    target : Path or None
        Normalized acquired target; ``None`` where the visit lacks it.
    target_mask : Path or None
        Brain mask of the acquired target on the same grid, or of a CT where it was scanned, without its table; it
        ends where the target's field of view ends.
    target_scale : Scale or None
        Scale of the acquired target.
    fingerprint : str
        SHA-256 of the voxels of the acquired first source, or where sources may miss of the reference, which
        never does: the identity of a visit across datasets.
    axial_range : (float, float) or None
        Percent of the extent from below to above of where an image is predicted, between which is learned and
        measured; ``None``: all.
    margin_mm : float
        How far beyond `mask` an image is predicted; for a CT into the air around the head.
    zeros : tuple of (float or None)
        For a CT: the normalized value of no signal in each source, so that air is the same number in all visits.
    quality : tuple of (Mapping of str to float)
        Of each source: its quality numbers, by the column of ``scans.tsv`` that has them.
    sloppy : bool
        Whether its images, or what this run makes of them, are for tests only.
    """

    visit: str
    participant: str
    sources: tuple[Path | None, ...]
    mask: Path
    target: Path | None = None
    target_mask: Path | None = None
    target_scale: Scale | None = None
    fingerprint: str = ""
    axial_range: tuple[float, float] | None = None
    margin_mm: float = 0.0
    zeros: tuple[float | None, ...] = ()
    quality: tuple[Mapping[str, float], ...] = field(default=(), compare=False)
    sloppy: bool = False

    @property
    def hounsfield(self) -> bool:
        """Whether its target is an acquired CT."""
        return self.target_scale is not None and self.target_scale.method == "hu"

    @property
    def present(self) -> tuple[Path, ...]:
        """The source images that the visit has."""
        return tuple(path for path in self.sources if path is not None)
