"""A bundle applied to a dataset: every visit gets the image that a network which never saw it predicts."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from bidsapp.bids import names
from bidsapp.bids.scans import write_verdict
from bidsapp.bids.sidecars import synth as synth_sidecar
from bidsapp.bids.sidecars import uncertainty as uncertainty_sidecar
from bidsapp.bids.sink import write_image
from bidsapp.console import progress_bar
from bidsapp.errors import AppError, NoInputError
from bidsapp.rendering import rendering_of
from bidsapp.reports.figures import synthesis_figure
from bidsapp.status import VisitStatus
from bidsapp.synthesis.evaluation import measure
from bidsapp.synthesis.familiarity import unfamiliarity
from bidsapp.synthesis.inference import predict
from bidsapp.synthesis.metrics import MEASURED
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.presence import used_and_missing
from bidsapp.synthesis.seal import file_sha256
from bidsapp.synthesis.signature import sign
from bidsapp.synthesis.trust import judge
from bidsapp.synthesis.uncertainty import LEVEL, measure_interval
from bidsapp.text import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lightning_fabric import Fabric
    from numpy.typing import NDArray
    from torch import nn

    from bidsapp.bids.gather import GatheredVisit
    from bidsapp.records import Identity, Pair, Plan
    from bidsapp.rendering import Rendering
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.inference import Predicted
    from bidsapp.synthesis.pairs import Volume

log = logging.getLogger(__name__)

# What must be as it was for an image to be used again; the fold changes when a visit tells whom the bundle knows.
SAME = ("Description", "InputsSHA256", "SpatialReference", "IntensityScale", "InTrainingSet", "Fold")


@dataclass(frozen=True)
class Prediction:
    """A synthesized image.

    Attributes
    ----------
    visit : GatheredVisit
        Whose it is.
    path, figure : str
        Relative to the output folder.
    fold : int or None
        The fold whose network predicted it, because it never saw the participant; ``None``: the mean of all
        folds, the participant was in no training set.
    reused : bool
        It was there already, made of the same files by the same bundle.
    agreement : dict or None
        Against the acquired target, where there is one.
    interval : dict or None
        How the interval around the image fared there.
    verdict : dict or None
        ``Label``, ``Reasons``, ``Scores``, ``FalseAlarmRate`` and ``CalibratedOn``, as in the sidecar; ``None``
        where the bundle has nothing to judge by.
    """

    visit: GatheredVisit
    path: str
    figure: str
    fold: int | None
    reused: bool
    agreement: dict[str, float | None] | None
    interval: dict[str, float | None] | None = None
    verdict: dict[str, Any] | None = None


def apply_bundle(
    settings: Settings,
    visits: Sequence[GatheredVisit],
    bundle: Bundle,
    fabric: Fabric,
    everyone: Sequence[Identity],
    tell: Callable[[VisitStatus], None] = lambda _: None,
) -> tuple[list[VisitStatus], list[Prediction]]:
    """Predict visit by visit; an unreadable one costs only itself.

    Parameters
    ----------
    settings : Settings
        Where the derivatives are.
    visits : sequence of GatheredVisit
        Those to predict; they have the sources.
    bundle : Bundle
        What to apply.
    fabric : Fabric
        Device and precision.
    everyone : sequence of Identity
        All visits of the derivatives, those that are not predicted included: by one that the bundle knows, the
        others of its participant are known, too.
    tell : callable
        Is given the status of each visit once it is known.

    Returns
    -------
    list of VisitStatus, list of Prediction
        The second lacks the visits that failed.
    """
    statuses, predictions = [], []
    with progress_bar("predicting", total=len(visits)) as update:
        for number, visit in enumerate(visits):
            label = visit.pair.visit
            update(number, label)
            siblings = [one for one in everyone if one.participant == visit.pair.participant]
            start = time.monotonic()
            try:
                predictions.append(_predict(settings, visit, bundle, bundle.fold_of(siblings), fabric))
            except NoInputError as error:
                statuses.append(VisitStatus(label, "skipped", error.message, error.hint))
            except AppError as error:
                log.error("%s: %s", label, error)
                statuses.append(VisitStatus(label, "failed", error.message, error.hint))
            else:
                statuses.append(VisitStatus(label, "done", seconds=time.monotonic() - start))
            tell(statuses[-1])
    return statuses, predictions


def _predict(
    settings: Settings, visit: GatheredVisit, bundle: Bundle, fold: int | None, fabric: Fabric
) -> Prediction:
    """Write a visit's synthesized image, unless it is there already, made of the same files by the same bundle."""
    used, _ = used_and_missing(visit.pair, bundle.plan)
    scans = [visit.visit.scan(contrast) for contrast in used]
    path = names.synth(visit.visit, scans, bundle.plan.target)
    figure = names.figure(visit.visit, "synth", bundle.plan.target)
    rendering = rendering_of(settings, visit, bundle)
    said = {**_sidecar(settings, visit, bundle, fold, rendering), "InputsSHA256": _input_hashes(visit)}
    doubt = names.uncertainty(visit.visit, scans, bundle.plan.target)
    sidecar = _existing(settings.output_dir, path, figure, doubt)
    reused = (
        all(sidecar.get(name) == said.get(name) for name in SAME)
        and sidecar.get("Model", {}).get("SHA256") == bundle.sha256
        and _measured_alike(sidecar, visit.pair)
    )
    if settings.reports_only and not reused:
        raise NoInputError(f"{path} is not there, or was made otherwise", "run it without --reports-only")
    if not reused:
        volume = load_volume(visit.pair, bundle.plan.features, presence=bundle.plan.sources_may_miss)
        networks = [bundle.network(n) for n in (range(bundle.folds) if fold is None else [fold])]
        predicted = predict(networks, volume, bundle.plan, fabric)
        calibration = bundle.calibration.others(fold)
        half = predicted.scale * np.float32(calibration.factor())
        sidecar = {**said, **_measured(volume, predicted.image, half, bundle.plan)}
        sidecar |= _verdict(networks, volume, bundle, predicted, fabric)
        _draw(volume, predicted.image, half, rendering, settings.output_dir / figure)
        about = uncertainty_sidecar(sidecar, path, LEVEL, calibration.summary())
        write_image(rendering.spread(volume, predicted.image, half), settings.output_dir / doubt, about)
        written = rendering.image(volume, predicted.image)
        # Last: it tells that all is there.
        write_image(written, settings.output_dir / path, sidecar, dtype=rendering.dtype)
    verdict = sidecar.get("Verdict")
    if verdict:
        _list_verdict(settings.output_dir, visit, path, bundle.plan.target, verdict)
    agreement, interval = (sidecar.get(name) for name in ("Agreement", "Interval"))
    return Prediction(visit, path, figure, fold, reused, agreement, interval, verdict)


def _verdict(
    networks: Sequence[nn.Module], volume: Volume, bundle: Bundle, predicted: Predicted, fabric: Fabric
) -> dict[str, Any]:
    """Return what the sidecar says of whether to trust an image; nothing of a bundle without a reference."""
    if bundle.trust is None:
        return {}
    distance = unfamiliarity(networks, volume, bundle.plan, fabric)
    verdict = judge(sign(volume, bundle.plan, predicted, unfamiliarity=distance), bundle.trust)
    return {
        "Verdict": {
            "Label": verdict.label,
            "Reasons": list(verdict.reasons),
            "Scores": {name: round(score, 3) for name, score in verdict.scores.items()},
            "FalseAlarmRate": bundle.trust.false_alarms,
            "CalibratedOn": {"Participants": bundle.trust.participants, "Visits": bundle.trust.visits},
        }
    }


def _list_verdict(out: Path, visit: GatheredVisit, path: str, target: str, verdict: Mapping[str, Any]) -> None:
    """Add an image with its verdict to the table of its visit."""
    folder = names.scans_table(visit.visit).rpartition("/")[0]
    row = {
        "filename": path.removeprefix(f"{folder}/"),
        "contrast": target,
        "verdict": verdict["Label"],
        "reasons": "; ".join(verdict["Reasons"]),
    }
    write_verdict(out, visit.visit, row)


def _measured(
    volume: Volume, image: NDArray[np.float32], half: NDArray[np.float32], plan: Plan
) -> dict[str, dict[str, float | None] | list[float]]:
    """Return what the sidecar says of the agreement with the acquired target; nothing where there is none."""
    agreement, interval = measure(volume, image, plan), measure_interval(volume, image, half)
    if agreement is None or interval is None:
        return {}
    axial = volume.pair.axial_range
    within = {"AxialRange": list(axial)} if axial is not None else {}
    return {"Agreement": agreement.to_json(), "Interval": interval.to_json(), **within}


def _input_hashes(visit: GatheredVisit) -> dict[str, str]:
    pair = visit.pair
    files = [*pair.present, pair.mask, *(path for path in (pair.target, pair.target_mask) if path is not None)]
    return {path.name: file_sha256(path) for path in files}


def _measured_alike(sidecar: dict[str, Any], pair: Pair) -> bool:
    """Return whether an image was measured, if at all, by all of today's measures and within the same range."""
    measured = sidecar.get("Agreement")
    axial = None if pair.axial_range is None else list(pair.axial_range)
    return measured is None or (set(measured) == set(MEASURED) and sidecar.get("AxialRange") == axial)


def _existing(output_dir: Path, path: str, *others: str) -> dict[str, Any]:
    """Return the sidecar of an image that is there with its sidecar and other files, else an empty one."""
    sidecar = output_dir / names.sidecar(path)
    if not all(file.is_file() for file in (sidecar, *(output_dir / name for name in (path, *others)))):
        return {}
    try:
        content = read_json(sidecar)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _sidecar(
    settings: Settings, visit: GatheredVisit, bundle: Bundle, fold: int | None, rendering: Rendering
) -> dict[str, Any]:
    """Say what the image is and what made it."""
    out = settings.output_dir
    used, missing = used_and_missing(visit.pair, bundle.plan)
    model: dict[str, Any] = {"Name": bundle.name, "Version": bundle.version, "SHA256": bundle.sha256}
    home = bundle.path.resolve()
    if home.is_relative_to(out.resolve()):
        model["URI"] = f"bids::{home.relative_to(out.resolve()).as_posix()}"
    if bundle.origin:
        model["InitializedFrom"] = bundle.origin.to_json()
    return synth_sidecar(
        # Not resolved: where DataLad keeps the derivatives, each image is a link.
        sources=[source.relative_to(out).as_posix() for source in (*visit.pair.present, visit.pair.mask)],
        source_contrasts=used,
        missing_contrasts=missing,
        target_contrast=bundle.plan.target,
        model=model,
        in_training_set=fold is not None,
        fold=fold,
        scale=rendering.scale,
        source_sha256=visit.pair.fingerprint,
        reference=rendering.reference,
        sloppy=bundle.sloppy or visit.pair.sloppy,
        resampled=rendering.resampled,
        scale_of=rendering.scale_of,
        around_mm=visit.pair.margin_mm,
    )


def _draw(
    volume: Volume, image: NDArray[np.float32], half: NDArray[np.float32], rendering: Rendering, path: Path
) -> None:
    """Draw a prediction in normalized units, a CT in Hounsfield units."""
    sources = [nib.load(source) for source in volume.pair.present]
    target, target_mask = (
        None if file is None else nib.load(file) for file in (volume.pair.target, volume.pair.target_mask)
    )
    ct = rendering.hounsfield
    shown, doubt = (rendering.intensities(image), rendering.half_width(image, half)) if ct else (image, half)
    if ct and target is not None:
        target = nib.Nifti1Image(rendering.intensities(target.get_fdata(dtype=np.float32)), target.affine)
    synthesized, uncertainty = volume.image(shown, rendering.fill), volume.image(doubt, 0.0)
    mask = volume.image(np.ones(volume.mask.shape, np.float32), 0.0)
    synthesis_figure(sources, synthesized, uncertainty, target, mask, path, target_mask=target_mask, ct=ct)
