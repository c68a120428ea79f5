"""A bundle: plan, weights of every fold, splits and target scale; all that applying a trained network needs.

::

    models/T1w-to-FLAIR_unet/
        bundle.json               format, plan, what images it reads, target scale, SHA-256 of every file below
                                  and of itself, version, training key
        README.md                 its card, for people
        fold-0.safetensors …      weights
        calibration.json          how errors on people held out relate to the scales that were predicted for them
        trust.json                what held-out visits are like, by which predictions are judged
        population.safetensors    the scale of the cohort, where a normalization was fitted to one
        splits.tsv                visits of the training participants: fold that held them out, fingerprint
        earlier.tsv               the same of those whom only the bundle has seen that the training started from,
                                  under pseudonyms
        metrics.tsv, history.tsv  what it and the baselines reached, and the course of the trainings
        learning_rate.tsv         the range test that chose the learning rate, where there was one
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bidsapp.errors import DataError
from bidsapp.scales import scale_from_json
from bidsapp.synthesis.acceptance import TRUST_FILE, read_trust, write_trust
from bidsapp.synthesis.card import write_card
from bidsapp.synthesis.manifest import (
    BUNDLE_FILE,
    FORMAT,
    HINT,
    Images,
    Origin,
    images_of,
    origin_of,
    read_manifest,
    write_manifest,
)
from bidsapp.synthesis.partial import partial_folder, remove
from bidsapp.synthesis.plan import plan_to_json
from bidsapp.synthesis.population import read_population, write_population
from bidsapp.synthesis.pseudonyms import identity
from bidsapp.synthesis.sanity import checked_plan
from bidsapp.synthesis.seal import check_files, check_folder, files_of, hashes
from bidsapp.synthesis.splits import Split, folds_of, read_splits, write_splits
from bidsapp.synthesis.uncertainty import read_calibration, write_calibration
from bidsapp.synthesis.weights import check_layout, expected, network_of, read_weights, weights_file, write_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from bidsapp.records import Identity, Plan
    from bidsapp.scales import Population, Scale
    from bidsapp.synthesis.acceptance import TrustReference
    from bidsapp.synthesis.uncertainty import Calibration

SPLITS_FILE = "splits.tsv"
EARLIER_FILE = "earlier.tsv"
CALIBRATION_FILE = "calibration.json"
INITIALIZER = "initializer"
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
        Of plan, images, scale, weights and splits, but not of labels: the identity that sidecars cite.
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
    trust : TrustReference or None
        What its predictions are judged by, if they are.
    initializer : bool
        Its makers found that it predicts worse than a map of intensities, and give it as a start for trainings.
    sloppy : bool
        It was trained, or the images were made that it learned from, for tests only.
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
    trust: TrustReference | None = field(default=None, compare=False)
    initializer: bool = False
    sloppy: bool = False

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
        network = network_of(self.plan)
        network.load_state_dict(read_weights(self.path / weights_file(fold)))
        return network.eval()

    def fold_of(self, visits: Sequence[Identity]) -> int | None:
        """Return the fold that held out the participant of these visits, ``None`` where no fold knew them.

        Raises
        ------
        DataError
            Every network has seen the participant.
        """
        folds = folds_of(self.everybody, visits)
        if len(folds) > 1 or None in folds:
            raise DataError(
                f"{self.path}: every network of it has seen {visits[0].participant}",
                "apply the bundle that it was initialized from" if self.origin else "apply another bundle",
            )
        return next(iter(folds), None)


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
    trust: TrustReference | None = None,
    sloppy: bool = False,
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
    target_scale, splits, calibration, training_key, version, population, origin, earlier, trust, sloppy
        See `Bundle`.
    extra : mapping of str to str
        Names and contents of text files that travel along and are not part of the identity.

    Returns
    -------
    Bundle
    """
    with partial_folder(path) as temporary:
        write_weights(temporary, networks)
        write_splits(temporary / SPLITS_FILE, splits)
        write_calibration(temporary / CALIBRATION_FILE, calibration)
        if earlier:
            write_splits(temporary / EARLIER_FILE, earlier)
        if population is not None:
            write_population(temporary / POPULATION_FILE, population)
        if trust is not None:
            write_trust(temporary / TRUST_FILE, trust)
        content: dict[str, Any] = {
            "Format": FORMAT,
            "Plan": plan_to_json(plan),
            "Images": images.to_json(),
            "TargetScale": target_scale.to_json(),
            "Files": hashes(temporary),
            "TrainingKey": training_key,
            "Version": version,
            **({"InitializedFrom": origin.to_json()} if origin else {}),
            **({"Sloppy": True} if sloppy else {}),
        }
        for name, text in extra.items():
            (temporary / name).write_text(text, encoding="utf-8")
        finish(temporary, path, content)
    return read_bundle(path)


def finish(folder: Path, goal: Path, content: Mapping[str, Any], **said: str) -> None:
    """Make a bundle of a folder with all its files but card and ``bundle.json``, and rename it to its goal.

    Parameters
    ----------
    folder, goal : Path
        Where the files are, and the bundle's own folder; an older one there is replaced.
    content : mapping
        Of ``bundle.json``, without what it says of files that are no part of the identity.
    **said : str
        What the card says besides; see `model_card`.
    """
    write_card(folder, replace(_bundle_of(folder, content), path=goal), **said)
    records = {name: digest for name, digest in hashes(folder).items() if name not in content["Files"]}
    write_manifest(folder, {**content, "Records": records})
    remove(goal)
    folder.rename(goal)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle, and check that everything in it is what it says.

    Raises
    ------
    DataError
        The folder is no bundle, or one of another format; a file is missing, was changed, or has no place in it;
        the plan is none, or the weights are not those of its network.
    """
    content = read_manifest(path)
    listed = files_of(content, path / BUNDLE_FILE)
    check_folder(path, listed, BUNDLE_FILE)
    state = expected(checked_plan(content["Plan"], path / BUNDLE_FILE), path / BUNDLE_FILE)
    weights = [name for name in content["Files"] if name.startswith("fold-")]
    for name in weights:
        check_layout(path / name, state)
    check_files(path, listed)
    bundle = _bundle_of(path, content)
    folds = {split.fold for split in bundle.everybody if split.fold is not None}
    if set(weights) != {weights_file(n) for n in range(len(weights))} or not folds <= set(range(len(weights))):
        raise DataError(f"{path / SPLITS_FILE}: its folds are not those of the weights", HINT)
    for name in weights:
        read_weights(path / name)
    return bundle


def _bundle_of(path: Path, content: Mapping[str, Any]) -> Bundle:
    """Return the bundle in a folder; what it says is read, and weights are not looked at."""
    try:
        files: Mapping[str, str] = content["Files"]
        target_scale = scale_from_json(content["TargetScale"])
        key, version = content["TrainingKey"], content["Version"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path / BUNDLE_FILE}: {error} is missing", HINT) from error
    splits = read_splits(path / SPLITS_FILE)
    if not any(split.fold is not None for split in splits):
        raise DataError(f"{path / SPLITS_FILE}: names nobody whom a fold held out", HINT)
    earlier = read_splits(path / EARLIER_FILE) if EARLIER_FILE in files else ()
    return Bundle(
        path,
        checked_plan(content["Plan"], path / BUNDLE_FILE),
        images_of(content, path),
        target_scale,
        splits,
        read_calibration(path / CALIBRATION_FILE),
        identity(path, content, (*earlier, *splits)),
        key,
        version,
        read_population(path / POPULATION_FILE) if POPULATION_FILE in files else None,
        origin_of(content, path),
        earlier,
        read_trust(path / TRUST_FILE) if TRUST_FILE in files else None,
        content.get("Use") == INITIALIZER,
        content.get("Sloppy") is True,
    )
