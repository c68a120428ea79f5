"""What the pages say: plain records, filled by the levels and laid out by the templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bidsapp.records import CT, region
from bidsapp.synthesis.axial import within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from bidsapp.reports.cohort_histograms import Histograms
    from bidsapp.synthesis.statistics import Interval


@dataclass(frozen=True)
class Figure:
    """A picture of a page.

    Attributes
    ----------
    title, caption : str
        What it shows, and how to read it.
    path : str
        POSIX path of the file, relative to the page.
    kind, contrast : str
        Label of what is shown, ``bias``, and whose; of a visit's page, which sorts figures by them.
    """

    title: str
    caption: str
    path: str
    kind: str = ""
    contrast: str = ""


@dataclass(frozen=True)
class ScanStory:
    """What became of one scan.

    Attributes
    ----------
    contrast : str
        What was acquired.
    raw : str
        Its file, relative to the raw dataset.
    state : str
        ``used``, ``flagged``, ``failed`` or ``unfinished``.
    reason : str
        Why, where it is not used.
    header : mapping
        What its header says: name and value.
    output : str
        POSIX path of the preprocessed image, relative to the page; empty where there is none.
    """

    contrast: str
    raw: str
    state: str
    reason: str = ""
    header: Mapping[str, str] = field(default_factory=dict)
    output: str = ""


@dataclass(frozen=True)
class Trouble:
    """A step that failed: which, why, and what to do."""

    step: str
    message: str
    hint: str


@dataclass(frozen=True)
class Curve:
    """The histogram of a scan's brain.

    Attributes
    ----------
    visit, contrast : str
        Whose.
    method : str
        Of the intensity scale.
    offset, scale : float
        ``(x - offset) / scale`` is the normalized intensity.
    low, high : float
        Ends of the first and of the last bin, units of the preprocessed image.
    density : tuple of float
        Share of the voxels per unit in each bin.
    """

    visit: str
    contrast: str
    method: str
    offset: float
    scale: float
    low: float
    high: float
    density: tuple[float, ...]


@dataclass(frozen=True)
class Drawing:
    """A small drawing that stands in a page as SVG.

    Attributes
    ----------
    title, note : str
        Above and below it.
    svg : Markup
        The drawing.
    legend : sequence of str
        Names of its lines, by colour.
    """

    title: str
    svg: Markup
    note: str = ""
    legend: Sequence[str] = ()


@dataclass(frozen=True)
class VisitReport:
    """The page of one visit.

    Attributes
    ----------
    visit : str
        Label, ``sub-01_ses-A``.
    version : str
        Version of the software.
    rows : sequence of mapping
        Rows of the visit's ``scans.tsv``, one for each image.
    decisions : mapping of str to sequence of str
        For each contrast, what was decided about its header.
    flags : sequence of str
        Reasons to look twice; empty when there are none.
    figures : sequence of Figure
        In the order in which they are shown.
    methods : str
        What was done, in sentences; paragraphs are separated by an empty line.
    outputs : sequence of str
        POSIX paths of the files written, relative to the page.
    sloppy : bool
        Whether the run was a coarse one, for tests only.
    reference : str
        Contrast of the reference.
    scans : sequence of ScanStory
        What went in, and what became of it.
    troubles : sequence of Trouble
        Steps that failed.
    curves : sequence of Curve
        Histograms of all visits seen so far, this one's among them.
    command : str
        The command line of the run.
    versions : mapping of str to str
        What the run used, and its version.
    """

    visit: str
    version: str
    rows: Sequence[Mapping[str, str | float | None]]
    decisions: Mapping[str, Sequence[str]]
    flags: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    methods: str = ""
    outputs: Sequence[str] = ()
    sloppy: bool = False
    reference: str = "T1w"
    scans: Sequence[ScanStory] = ()
    troubles: Sequence[Trouble] = ()
    curves: Sequence[Curve] = ()
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GroupReport:
    """The page of the group level.

    Attributes
    ----------
    version : str
        Version of the software.
    plan : mapping
        What was trained: name and value, as in the bundle's plan.
    rows : sequence of mapping
        One for each visit and model, keys ``visit``, ``participant``, ``fold``, ``model``, ``mae`` and further
        measures and, where known, ``steps``. The fold is the one that held the visit's participant out.
    columns : sequence of str
        Models in the order of the table; the first is the one whose images were written.
    comparison : sequence of mapping
        One for each rival of the first model, keys ``rival``, ``n`` (participants), ``mae_model``, ``mae_rival``,
        ``difference`` with ``low`` and ``high``, ``p`` and ``note``.
    summary : mapping
        Measure → model → mean over participants with its interval.
    predictions : sequence of mapping
        One for each synthesized image, keys ``visit``, ``path`` (relative to the page), ``in_training_set`` and
        ``fold``, which is ``None`` where all folds were averaged, ``missing``, the sources that it lacked, and,
        where it was judged, ``verdict``, ``reasons`` and ``scores``.
    false_alarms : float or None
        Share of clean images that checks may flag; ``None`` where nothing was judged.
    reservation : str
        Why no image is trusted, whatever the checks find; empty where one may be.
    dataset : str
        Name of the derivatives, which names what was acquired, or simulated.
    skipped : sequence of (str, str, str)
        Visits that were left out: label, reason, hint. One may be there for several reasons.
    dropped : sequence of (str, str, str)
        The same of visits that were predicted, but not learned from, or without a source.
    quality : sequence of mapping
        Rows of the ``scans.tsv`` of all visits, each with its ``visit``.
    histograms : mapping
        Contrast → histograms of some visits before and after normalization.
    history : mapping
        Name of a training → step and loss, from the first to the last.
    rates : sequence of mapping
        Steps of the range test with ``learning_rate``, ``loss`` and ``smoothed``; empty where there was none.
    levels : sequence of float
        Shares of voxels that intervals promise to cover.
    coverage : mapping
        Participant → shares that they covered, by networks and intervals that did not know the participant.
    card : str
        The bundle's card, Markdown.
    why : str
        Why nothing was predicted, where nothing was.
    figures : sequence of Figure
        In the order in which they are shown.
    methods : str
        What was done, in sentences; paragraphs are separated by an empty line.
    axial : (float, float) or None
        Percentages of the brain's height between which predictions were measured.
    sloppy : bool
        Whether the run was a coarse one, for tests only.
    """

    version: str
    plan: Mapping[str, object]
    rows: Sequence[Mapping[str, str | float | None]]
    columns: Sequence[str]
    comparison: Sequence[Mapping[str, str | float | None]] = ()
    summary: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    predictions: Sequence[Mapping[str, object]] = ()
    false_alarms: float | None = None
    reservation: str = ""
    dataset: str = ""
    skipped: Sequence[tuple[str, str, str]] = ()
    dropped: Sequence[tuple[str, str, str]] = ()
    quality: Sequence[Mapping[str, str]] = ()
    histograms: Mapping[str, tuple[Histograms, Histograms]] = field(default_factory=dict)
    history: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    rates: Sequence[Mapping[str, float]] = ()
    levels: Sequence[float] = ()
    coverage: Mapping[str, Sequence[float]] = field(default_factory=dict)
    card: str = ""
    why: str = ""
    figures: Sequence[Figure] = ()
    methods: str = ""
    axial: tuple[float, float] | None = None
    sloppy: bool = False

    @property
    def hounsfield(self) -> bool:
        """Whether the target is a CT: errors are in Hounsfield units, in the head."""
        return self.plan.get("target") == CT

    @property
    def units(self) -> str:
        """Units of errors."""
        return "HU" if self.hounsfield else "normalized units"

    @property
    def digits(self) -> int:
        """Decimals that errors are shown with."""
        return 1 if self.hounsfield else 3

    @property
    def region(self) -> str:
        """Where measures look."""
        return region(str(self.plan.get("target"))) + within(self.axial)
