"""A bundle: plan, weights of every fold, splits and target scale; all that applying a trained network needs.

::

    models/T1w-to-FLAIR_unet/
        bundle.json               format, plan, what images it reads, target scale, SHA-256 of every file below,
                                  version, training key
        fold-0.safetensors …      weights
        calibration.json          how errors on people held out relate to the scales that were predicted for them
        population.safetensors    the scale of the cohort, where a normalization was fitted to one
        splits.tsv                visits of the training participants: fold that held them out, fingerprint
        earlier.tsv               the same of those whom only the bundle has seen that the training started from
        metrics.tsv, history.tsv  what it and the baselines reached, and the course of the trainings
        learning_rate.tsv         the range test that chose the learning rate, where there was one
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsapp.errors import DataError
from bidsapp.scales import Population, scale_from_json
from bidsapp.synthesis.manifest import (
    BUNDLE_FILE,
    FORMAT,
    HINT,
    Images,
    Origin,
    images_of,
    origin_of,
    read_manifest,
)
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.plan import plan_from_json, plan_to_json
from bidsapp.synthesis.splits import Split, folds_of, read_splits, write_splits
from bidsapp.synthesis.uncertainty import read_calibration, write_calibration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from bidsapp.records import Pair, Plan
    from bidsapp.scales import Scale
    from bidsapp.synthesis.uncertainty import Calibration

SPLITS_FILE = "splits.tsv"
EARLIER_FILE = "earlier.tsv"
CALIBRATION_FILE = "calibration.json"
POPULATION_FILE = "population.safetensors"


@dataclass(frozen=True)
class Bundle:
    """A trained network, ready to apply.

    Attributes
    ----------
    path : Path
        Its folder.
    plan : Plan
        How its input is built and its weights were trained.
    images : Images
        Intensity scale and grid of the images that it reads.
    target_scale : Scale
        Median scale of the training targets; gives a predicted image the intensities of its cohort.
    splits : tuple of Split
        Who was in the training set.
    calibration : Calibration
        What the intervals around its predictions are made from.
    sha256 : str
        Of plan, images, scale, weights and splits: the identity that sidecars cite.
    training_key : str
        Hash of everything the training depended on, to tell whether it must be repeated.
    version : str
        Version of the software that trained it.
    population : Population or None
        The scale of the cohort that its images are on, if that was fitted to a cohort.
    origin : Origin or None
        The bundle that its training started from, if it did not start anew.
    earlier : tuple of Split
        Whom only the networks of that bundle, or of its own origin, have seen.
    """

    path: Path
    plan: Plan
    images: Images
    target_scale: Scale
    splits: tuple[Split, ...]
    calibration: Calibration
    sha256: str
    training_key: str
    version: str
    population: Population | None = None
    origin: Origin | None = None
    earlier: tuple[Split, ...] = ()

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def folds(self) -> int:
        """Number of fold models."""
        return 1 + max(split.fold for split in self.splits if split.fold is not None)

    @property
    def everybody(self) -> tuple[Split, ...]:
        """Visits of all whom any of the networks has seen, also before its training started."""
        return (*self.earlier, *self.splits)

    def network(self, fold: int) -> nn.Module:
        """Load the network of a fold, on the CPU and in evaluation mode."""
        from safetensors.torch import load_file

        plan = self.plan
        network = build_network(plan.network, plan.inputs, plan.channels, plan.seed, plan.norm, plan.slices)
        network.load_state_dict(load_file(self.path / weights_file(fold)))
        return network.eval()

    def fold_of(self, pairs: Sequence[Pair]) -> int | None:
        """Return the fold that held out the participant of these visits, ``None`` where no fold knew them.

        Raises
        ------
        DataError
            Every network has seen the participant.
        """
        folds = folds_of(self.everybody, pairs)
        if len(folds) > 1 or None in folds:
            raise DataError(
                f"{self.path}: every network of it has seen {pairs[0].participant}",
                "apply the bundle that it was initialized from" if self.origin else "apply another bundle",
            )
        return next(iter(folds), None)


def weights_file(fold: int) -> str:
    """Return the name of a fold's weights."""
    return f"fold-{fold}.safetensors"


def write_bundle(
    path: Path,
    plan: Plan,
    images: Images,
    networks: Sequence[nn.Module],
    target_scale: Scale,
    splits: Sequence[Split],
    calibration: Calibration,
    *,
    training_key: str,
    version: str,
    extra: Mapping[str, str],
    population: Population | None = None,
    origin: Origin | None = None,
    earlier: Sequence[Split] = (),
) -> Bundle:
    """Write a bundle whole: into a folder beside its goal, then renamed.

    Parameters
    ----------
    path : Path
        Folder of the bundle; an older one there is replaced.
    plan : Plan
        The plan that the networks were trained on.
    images : Images
        Intensity scale and grid of the images that they were trained on.
    networks : sequence of torch.nn.Module
        One for each fold, in order.
    target_scale : Scale
        Scale of the training targets.
    splits : sequence of Split
        Visits of the training participants.
    calibration : Calibration
        See `Bundle`.
    training_key, version : str
        See `Bundle`.
    extra : mapping of str to str
        Names and contents of text files that travel along and are not part of the identity.
    population, origin, earlier
        See `Bundle`.

    Returns
    -------
    Bundle
    """
    from safetensors.torch import save_file

    temporary = path.with_name(f".{path.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for fold, network in enumerate(networks):
        # MONAI's DynUNet has some layers by two names, and a file of safetensors nothing that is shared.
        state = {name: tensor.contiguous().clone() for name, tensor in network.state_dict().items()}
        save_file(state, temporary / weights_file(fold))
    write_splits(temporary / SPLITS_FILE, splits)
    write_calibration(temporary / CALIBRATION_FILE, calibration)
    if earlier:
        write_splits(temporary / EARLIER_FILE, earlier)
    if population is not None:
        _write_population(temporary / POPULATION_FILE, population)
    files = {file.name: file_sha256(file) for file in sorted(temporary.iterdir())}
    for name, text in extra.items():
        (temporary / name).write_text(text, encoding="utf-8")
    content: dict[str, Any] = {
        "Format": FORMAT,
        "Plan": plan_to_json(plan),
        "Images": images.to_json(),
        "TargetScale": target_scale.to_json(),
        "Files": files,
        "TrainingKey": training_key,
        "Version": version,
        **({"InitializedFrom": origin.to_json()} if origin else {}),
    }
    (temporary / BUNDLE_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(path, ignore_errors=True)
    temporary.rename(path)
    return read_bundle(path)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and check every file against its hash.

    Raises
    ------
    DataError
        The folder is no bundle, or one of another format, or a file of it is missing or changed.
    """
    content = read_manifest(path)
    images = images_of(content, path)
    try:
        files: Mapping[str, str] = content["Files"]
        target_scale = scale_from_json(content["TargetScale"])
        key, version, plan_values = content["TrainingKey"], content["Version"], content["Plan"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path / BUNDLE_FILE}: {error} is missing", HINT) from error
    for name, sha256 in files.items():
        if not (path / name).is_file() or file_sha256(path / name) != sha256:
            raise DataError(f"{path / name}: missing, or not the file that was trained", "copy the bundle again")
    plan = plan_from_json(plan_values, str(path / BUNDLE_FILE))
    identity = {name: content[name] for name in ("Plan", "Images", "TargetScale", "Files")}
    sha256 = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return Bundle(
        path,
        plan,
        images,
        target_scale,
        read_splits(path / SPLITS_FILE),
        read_calibration(path / CALIBRATION_FILE),
        sha256,
        key,
        version,
        _read_population(path),
        origin_of(content, path),
        read_splits(path / EARLIER_FILE) if EARLIER_FILE in files else (),
    )


def _write_population(path: Path, population: Population) -> None:
    from safetensors.numpy import save_file

    numbers = {name: np.ascontiguousarray(values) for name, values in population.numbers.items()}
    save_file(numbers, path, metadata={"method": population.method})


def _read_population(folder: Path) -> Population | None:
    from safetensors import safe_open

    path = folder / POPULATION_FILE
    if not path.is_file():
        return None
    with safe_open(path, framework="np") as file:
        return Population(file.metadata()["method"], {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits; `DataError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", "run the step that wrote it again") from error
