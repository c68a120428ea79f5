"""What the group level says of itself: how networks were trained, applied and measured, from the plan they had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bidsapp import __version__
from bidsapp.records import CT, region
from bidsapp.reports.software import package, packages
from bidsapp.synthesis.axial import within
from bidsapp.synthesis.losses import PHRASES, WINDOW
from bidsapp.synthesis.modes import phrase
from bidsapp.synthesis.optimizer import STEPS
from bidsapp.synthesis.uncertainty import LEVEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bidsapp.records import Plan
    from bidsapp.synthesis.manifest import Origin


@dataclass(frozen=True)
class Learning:
    """What is known of a training and of what came of it; a run that is only planned knows less.

    Attributes
    ----------
    plan : Plan
        How networks are trained.
    sized : bool
        Whether the size of network and patch are settled; else they follow the time.
    folds : int or None
        Number of folds.
    people : int or None
        Training participants.
    name, version, sha256 : str
        Of the bundle; empty where there is none yet.
    trained_here : bool
        Whether it learned from this dataset; else it was brought by ``--model``.
    population : str or None
        The intensity scale of a cohort.
    origin : Origin or None
        The bundle whose networks were trained further.
    range_test : bool
        Whether a range test chose the learning rate.
    limit : str
        The time that a training has, where the plan does not say so yet.
    rivals : sequence of str
        Baselines that were measured beside it.
    calibrated, judged : int or None
        Participants that intervals and verdicts were calibrated on.
    false_alarms : float
        Share of clean images that checks may flag.
    reservation : str
        Why no image is trusted, whatever the checks find.
    axial, measured : tuple of float or None
        Percentages of the brain's height between which was learned, and between which predictions are measured.
    native : bool
        Whether images are written on the acquired reference's grid.
    match_to : str or None
        Whose intensities they have; see `bidsapp.settings.Settings`.
    export : str or None
        Format of an export.
    """

    plan: Plan
    sized: bool = True
    folds: int | None = None
    people: int | None = None
    name: str = ""
    version: str = ""
    sha256: str = ""
    trained_here: bool = True
    population: str | None = None
    origin: Origin | None = None
    range_test: bool = False
    limit: str = ""
    rivals: Sequence[str] = ()
    calibrated: int | None = None
    judged: int | None = None
    false_alarms: float = 0.0
    reservation: str = ""
    axial: tuple[float, float] | None = None
    measured: tuple[float, float] | None = None
    native: bool = False
    match_to: str | None = None
    export: str | None = None


def tell(learning: Learning) -> str:
    """Return the text of the group level, with keys such as ``[@muon]``; an empty line ends a paragraph."""
    return "\n\n".join(
        (
            _training(learning),
            _application(learning),
            _measures(learning),
            _synthetic(learning.plan),
            _software(learning),
        )
    )


def _training(learning: Learning) -> str:
    plan = learning.plan
    said = [COHORT_SCALES[learning.population]] if learning.population else []
    if not learning.trained_here:
        said.append(
            f"Nothing was trained on this dataset: the bundle {learning.name} (SynthPrep {learning.version}, "
            f"SHA-256 {learning.sha256}) was applied. It was trained as follows."
        )
    sizes = f" and {'–'.join(map(str, plan.channels))} channels" if learning.sized else ", sized to the time,"
    said.append(
        f"{_network(plan)}{_normalization(plan)}{sizes} was trained to predict {plan.target} from "
        f"{' and '.join(plan.sources)} on {_shown(learning)}, by {_loss(plan)}{within(learning.axial)}, with "
        f"{STEPS[plan.optimizer]} {OPTIMIZERS[plan.optimizer]} on a one-cycle schedule [@onecycle] "
        f"{_schedule(learning)} in {_folds(learning)}{_started(learning)}{_averaged(plan)}, "
        f"{f'precision {plan.precision}, ' if plan.precision else ''}seed {plan.seed}."
    )
    said += [AUGMENTATIONS[plan.augmentation]]
    if plan.sources_may_miss:
        said.append(
            "Sources were taken from patches, but never all, so that every choice of those left had as many "
            "patches [@moddrop]; a visit may lack them."
        )
    return " ".join(said)


def _network(plan: Plan) -> str:
    said = NETWORKS[plan.network]
    return f"{said.replace('3D ', '')}, whose kernels lie in the plane of a slice," if plan.slices else said


def _normalization(plan: Plan) -> str:
    kinds = {
        "batch": "batch normalization [@batchnorm]",
        "weight": "weight normalization [@weightnorm]",
        "spectral": "spectral normalization [@spectralnorm]",
    }
    return f" with {kinds[plan.norm]}"


def _shown(learning: Learning) -> str:
    return phrase(learning.plan) if learning.sized else phrase(learning.plan).partition(" of ")[0]


def _loss(plan: Plan) -> str:
    ssim = " [@ssim; @zhao]" if "ssim" in plan.loss else ""
    said = PHRASES[plan.loss].format(region=f"inside {region(plan.target)}") + ssim
    return said.replace(f"{WINDOW}³", f"{WINDOW}²") if plan.slices else said


def _schedule(learning: Learning) -> str:
    plan = learning.plan
    peak = f" {plan.learning_rate:.3g}"
    if learning.range_test:
        # A bundle has its number; before the training there is none yet.
        peak = f"{f'{peak},' if learning.sha256 else ''} found by a range test [@rangetest]"
    length = {"steps": plan.max_steps, "epochs": plan.epochs, "minutes": None if learning.limit else plan.minutes}
    limits = [f"{value:.6g} {unit}" for unit, value in length.items() if value]
    limits += [learning.limit] if learning.limit else []
    first = ", whichever came first," if len(limits) > 1 else ""
    return f"(peak learning rate{peak}) for {' or '.join(limits)}{first}"


def _folds(learning: Learning) -> str:
    number = f"each of {learning.folds} folds" if learning.folds else "each fold"
    return f"{number} of {learning.people} participants" if learning.people else number


def _started(learning: Learning) -> str:
    before = learning.origin
    return f", starting from {before.name} {before.version} (SHA-256 {before.sha256})" if before else ""


def _averaged(plan: Plan) -> str:
    if not plan.averaging:
        return ""
    return f", the weights averaged over the last steps (width {plan.averaging:g} [@karras])"


def _application(learning: Learning) -> str:
    plan = learning.plan
    averaged = ", averaged over the image and its mirror image" if plan.flip_averaging else ""
    level = f"{100 * LEVEL:g} %"
    on = f" ({learning.calibrated} participants)" if learning.calibrated else ""
    said = [
        "Folds hold out whole participants. Predictions come from overlapping windows with Gaussian weights"
        f"{averaged}. A participant of the training set was predicted by the network that never saw that "
        "participant, any other by the mean of all [@ensembles].",
        "A second output learned the scale of the error by the likelihood of Laplace's distribution; the "
        f"{level} interval of each voxel is so many scales wide as covered that share of the voxels of people "
        f"held out{on}, in the mean over them, by split conformal prediction with pooled distributions "
        "[@conformal] across folds [@crossconformal].",
    ]
    if learning.judged != 0:
        on = f" of {learning.judged} participants" if learning.judged else ""
        rate = f" at a rate of {100 * learning.false_alarms:g} % of false alarms" if learning.judged else ""
        said.append(
            "Every image has a verdict, trust, caution or reject: its inputs and itself were compared with "
            f"held-out visits{on} by checks whose tolerances are prediction intervals [@hahn] with moderated "
            f"variances [@smyth]{rate}."
        )
    if learning.reservation:
        said.append(f"No image was trusted: {learning.reservation}.")
    grid = "the acquired reference's grid" if learning.native else "the common grid of the visit"
    said.append(f"Images were written on {grid}{_intensities(learning)}.")
    if learning.export:
        form = package("onnx") if learning.export == "onnx" else f"TorchScript of {package('torch')}"
        said.append(f"The mean of all networks was written for other software by {form}.")
    return " ".join(said)


def _intensities(learning: Learning) -> str:
    if learning.plan.target == CT:
        return ", in whole Hounsfield units, with −1024 HU further than 10 mm from the head"
    if learning.match_to is None:
        return ", with the typical intensities of the training cohort, 0 outside the brain"
    if learning.match_to == "normalized":
        return ", in normalized units, 0 outside the brain"
    return ", with the intensities of one acquired image, 0 outside the brain"


def _measures(learning: Learning) -> str:
    target = learning.plan.target
    ct = " Measures of a CT are those of SynthRAD2025 [@synthrad]." if target == CT else ""
    said = (
        f"Where the {target} was acquired, too, the prediction was compared with it inside {region(target)}"
        f"{within(learning.measured)}: mean absolute error, structural similarity [@ssim] of "
        f"{package('scikit-image')} and others, in group_metrics.tsv.{ct}"
    )
    if learning.rivals and learning.trained_here:
        rivals = " and ".join(RIVALS.get(name, name) for name in learning.rivals)
        said += (
            f" The same was measured of {rivals}, which learned from the same folds (regressions of "
            f"{package('scikit-learn')}). Differences are means over participants with bootstrap intervals "
            "[@bootstrap] and, of six or more, the signed-rank test [@wilcoxon]."
        )
    return said


def _synthetic(plan: Plan) -> str:
    return (
        f"Every image that is called desc-synth_{plan.target} is synthetic: it was predicted, nobody was scanned "
        f"to acquire it, and its sidecar says Synthetic: true. It shows what a {plan.target} usually looks like "
        f"beside such a {' and '.join(plan.sources)}; a lesion that it shows or does not show is no evidence."
    )


def _software(learning: Learning) -> str:
    library = f" The network is one of {package('monai')}." if learning.plan.network in MONAI else ""
    learned, images = packages("torch", "lightning-fabric"), packages("nibabel", "numpy", "scipy")
    done = "trained and applied" if learning.trained_here else "applied"
    return (
        f"Networks were {done} by SynthPrep {__version__} with {learned}; their weights are kept "
        f"by {package('safetensors')}.{library} Images and arrays are of {images}, figures of "
        f"{package('matplotlib')}."
    )


MONAI = ("segresnet", "dynunet")
NETWORKS = {
    "unet": "A 3D U-Net [@unet] of residual blocks [@resnet] (unet)",
    "unet-base": "A 3D U-Net [@unet] of residual blocks [@resnet] (unet-base)",
    "seed-resnet": "The residual network of an article on image synthesis [@reinhold] (seed-resnet)",
    "segresnet": "A SegResNet [@segresnet] (segresnet)",
    "dynunet": "A U-Net after nnU-Net [@nnunet] (dynunet)",
}
OPTIMIZERS = {"adamw": "[@adamw]", "muon": "[@muon; @moonlight; @adamw]"}
AUGMENTATIONS = {
    "none": "Training patches were not varied.",
    "intensity": "Training patches were mirrored left to right, and contrast, brightness and noise of the sources "
    "varied.",
    "physics": "Training patches were mirrored left to right; contrast, brightness and noise of the sources "
    "varied, and some had bias fields, blur, thick slices, motion, ghosts or lost blocks.",
    "spatial": "Training patches were mirrored left to right, turned and scaled a little, and contrast, "
    "brightness and noise of the sources varied.",
    "spatial+physics": "Training patches were mirrored left to right, turned and scaled a little; contrast, "
    "brightness and noise of the sources varied, and some had bias fields, blur, thick slices, motion, ghosts "
    "or lost blocks.",
}
RIVALS = {
    "floor": "the best map of intensities that knows no place",
    "forest": "a random forest on the 3 × 3 × 3 voxels around each [@jog]",
    "seed-resnet": "the network of an earlier article [@reinhold]",
}
COHORT_SCALES = {
    "nyul": "Intensities were brought to the landmarks of the cohort [@nyul1999; @nyul2000].",
    "lsq": "Each image was multiplied by the factor that brings its means of fluid, grey and white matter "
    "nearest to the cohort's, by least squares [@reinhold].",
    "ravel": "What fluid shares across the images of the cohort was taken out of white-striped images by RAVEL "
    "[@ravel; @whitestripe].",
}
