"""Fine-tuning: training the networks of a bundle further, none of them on people whom it then is tested on."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bidsapp.errors import DataError
from bidsapp.synthesis.manifest import Origin
from bidsapp.synthesis.modes import WHOLE
from bidsapp.synthesis.pseudonyms import pseudonyms
from bidsapp.synthesis.splits import Split, folds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from bidsapp.records import Pair, Plan
    from bidsapp.synthesis.bundle import Bundle
    from bidsapp.synthesis.folds import Fold

# Share of a new network's peak, and of the steps in which the rate rises to it. Networks of 500 steps on real
# visits were trained on those of other people for 40 and 150 steps: the mean error on two further people went from
# .458 to .449 and .438, but at the full peak to .472 and .448; a new network reached .567 and .486.
RATE = 0.1
WARMUP = 0.1


@dataclass(frozen=True)
class Start:
    """Where the trainings of all folds start.

    Attributes
    ----------
    bundle : Bundle
        Whose networks they start from.
    networks : tuple of int
        Which of them, for each fold.
    """

    bundle: Bundle
    networks: tuple[int, ...]

    @property
    def origin(self) -> Origin:
        """What the new bundle says of it."""
        return Origin(self.bundle.name, self.bundle.version, self.bundle.sha256, self.networks)

    def weights(self, fold: int) -> dict[str, Tensor]:
        """Return the weights that a fold starts from, on the CPU."""
        return self.bundle.network(self.networks[fold]).state_dict()


def choose_start(bundle: Bundle, folds: Sequence[Fold], pairs: Sequence[Pair]) -> Start:
    """Give every fold a network of the bundle that has seen none of the people whom the fold holds out.

    Parameters
    ----------
    bundle : Bundle
        Where to start from.
    folds : sequence of Fold
        Of the new training.
    pairs : sequence of Pair
        All visits: by one that the bundle knows, the others of its participant are known, too.

    Returns
    -------
    Start
        Folds whose people the bundle does not know take the networks that the fewest others start from: what all
        of them have seen, the new bundle cannot predict.

    Raises
    ------
    DataError
        Every network has seen somebody whom one fold holds out.
    """
    networks: dict[int, int] = {}
    free = []
    for fold in folds:
        unseen = {p: folds_of(bundle.everybody, [v for v in pairs if v.participant == p]) for p in fold.held_out}
        choice = frozenset[int | None]().union(*unseen.values())
        if len(choice) > 1 or None in choice:
            known = ", ".join(sorted(participant for participant, held in unseen.items() if held))
            raise DataError(
                f"{bundle.path}: every network of it has seen somebody whom fold {fold.number} holds out: {known}",
                "give --splits with folds that hold out together whom the bundle held out together, or --crossval",
            )
        if choice:
            (networks[fold.number],) = (n for n in choice if n is not None)
        else:
            free.append(fold.number)
    for number in free:
        taken = Counter(networks.values())
        networks[number] = min(range(bundle.folds), key=taken.__getitem__)
    return Start(bundle, tuple(networks[fold.number] for fold in folds))


def earlier_splits(start: Start, splits: Sequence[Split]) -> tuple[Split, ...]:
    """Return the visits that only networks of the start's bundle have seen, with the fold that never did.

    They stand under pseudonyms: their labels are those of another dataset, where they may mean other people.

    Parameters
    ----------
    start : Start
        Where the trainings started.
    splits : sequence of Split
        Visits of the new training participants.

    Returns
    -------
    tuple of Split
        A person who is in the new training, too, has the fold that held them out of it: it started from a network
        that had done so as well, and the label that is theirs now. Of others, any fold does that started from such
        a network.
    """
    now = {split.fingerprint: split for split in splits if split.fingerprint}
    names = pseudonyms(start.bundle.everybody)
    again: defaultdict[tuple[str, int | None], set[Split]] = defaultdict(set)
    for split in start.bundle.everybody:
        if split.fingerprint in now:
            again[split.participant, split.fold].add(now[split.fingerprint])
    heirs: dict[int | None, set[int | None]] = {network: {fold} for fold, network in enumerate(start.networks)}

    def renewed(split: Split) -> Split:
        known = again.get((split.participant, split.fold), ())
        # Bundles made before may have two people of one label, who may be in two folds now: then it is none.
        folds = {other.fold for other in known} or heirs.get(split.fold, set())
        labels = {other.participant for other in known}
        return replace(
            split,
            visit=names[split.visit],
            participant=next(iter(labels)) if len(labels) == 1 else names[split.participant],
            fold=next(iter(folds)) if len(folds) == 1 else None,
        )

    return tuple(renewed(split) for split in start.bundle.everybody if split.fingerprint not in now)


def continued(plan: Plan, before: Plan, rate: float | None) -> Plan:
    """Return a plan for a network that has been trained before.

    Parameters
    ----------
    plan : Plan
        How a new network would be trained.
    before : Plan
        How it was trained before; gives its size, its input and the patch that fits them.
    rate : float or None
        Peak of the schedule, where it shall be that.

    Returns
    -------
    Plan
        With a lower peak and a shorter warm-up than a new network needs.
    """
    return replace(
        plan,
        channels=before.channels,
        features=before.features,
        patch=plan.patch if plan.input_mode in WHOLE else before.patch,
        batch=before.batch,
        learning_rate=plan.learning_rate * RATE if rate is None else rate,
        warmup=WARMUP,
    )
