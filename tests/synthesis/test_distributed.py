"""Two processes that train together, against one: gloo on the processor, over localhost."""

import dataclasses
import os
import pickle
import subprocess
import sys

import pytest
import torch

from bidsapp.launch import free_port, said_to
from bidsapp.synthesis import run
from bidsapp.synthesis.checkpoint import Checkpoint
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.plan import make_plan
from bidsapp.synthesis.rates import find_rate
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import make_fabric, train

from .conftest import make_pair

STEPS = 6
# Every loss, optimizer, normalization and way of drawing; batches of two, of three, and the slices of a volume.
VARIATIONS = {
    "default": {},
    "error": {"loss": "l1+ssim", "sampling": "error", "augmentation": "spatial+physics", "batch": 3},
    "article": {"network": "seed-resnet", "channels": (4,), "features": (), "loss": "mse", "optimizer": "adamw"},
    "spectral": {"network": "seed-resnet", "channels": (4,), "norm": "spectral", "averaging": 0.0},
    "slabs": {"input_mode": "slabs", "slice_axis": "axial", "patch": (20, 22, 5), "batch": 4},
    "segresnet": {"network": "segresnet", "channels": (4, 8)},
    "dynunet": {"network": "dynunet", "channels": (4, 8, 16)},
}
# What each of the processes does. The first leads; each writes down the patches that it learned from, and the
# weights that it ended with.
SCRIPT = """
import pickle, sys
from contextlib import contextmanager
from pathlib import Path
import torch
from bidsapp.synthesis import run
from bidsapp.synthesis.checkpoint import Checkpoint
from bidsapp.synthesis.crew import dismiss, hold
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.rates import find_rate
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import make_fabric, seconds_per_step, train

torch.set_num_threads(1)
out = Path(sys.argv[1])
pairs, plans, last = pickle.loads((out / "given.pkl").read_bytes())
fabric = make_fabric("cpu", "32-true", 2)
known = {"shares": [], "weights": [], "losses": [], "steps": []}
share, finish = run.share, run.Run.finish

def keep_share(batch, fabric):
    mine = share(batch, fabric)
    known["shares"].append(mine.inputs)
    return mine

def keep_weights(self):
    finish(self)
    known["weights"].append({name: tensor.clone() for name, tensor in self.network.module.state_dict().items()})

run.share, run.Run.finish = keep_share, keep_weights

def on_step(step):
    known["steps"].append(step.number)
    if step.number == last:
        raise ValueError("no further")

@contextmanager
def volumes_of(pairs, features, presence):
    yield [TrainingVolume.hold(load_volume(pair, features, presence=presence)) for pair in pairs]

if fabric.is_global_zero:
    features = plans[0].features
    with volumes_of(pairs, features, False) as volumes:
        stored = dict(zip(pairs, volumes))
        hold(fabric, stored, features, presence=False)
        known["seconds"] = seconds_per_step(plans[0], fabric)
        for number, plan in enumerate(plans):
            checkpoint = Checkpoint(out / f"{number}.pt", every=0)
            trained = train(volumes[:2], plan, fabric, on_step, checkpoint=checkpoint)
            known["losses"].append([step.loss for step in trained.history])
        known["rate"] = find_rate(volumes, plans[0], fabric)[1].rates
        dismiss(fabric)
else:
    fabric.follow(volumes_of)
torch.save(known, out / f"known-{fabric.global_rank}.pt")
"""


def together(folder, pairs, plans, last=None):
    """Run two processes to their end, and return their statuses."""
    (folder / "given.pkl").write_bytes(pickle.dumps((pairs, plans, last)))
    port = free_port()
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    processes = [subprocess.Popen(command, env={**os.environ, **said_to(n, 2, port)}) for n in range(2)]
    return [process.wait(timeout=300) for process in processes]


def known(folder):
    return [torch.load(folder / f"known-{rank}.pt", weights_only=True) for rank in range(2)]


def varied(plan, variation):
    return dataclasses.replace(plan, **{"max_steps": STEPS, **VARIATIONS[variation]})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    return [make_pair(folder, number) for number in (1, 2, 3)]


@pytest.fixture
def alone(cohort, monkeypatch):
    """Return a function that trains by one process: losses, batches, and weights."""

    def alone(plan):
        batches, share = [], run.share
        monkeypatch.setattr(run, "share", lambda *given: batches.append(share(*given)) or batches[-1])
        volumes = [TrainingVolume.hold(load_volume(pair, plan.features)) for pair in cohort[:2]]
        trained = train(volumes, plan, make_fabric("cpu", "32-true"))
        monkeypatch.undo()
        return [step.loss for step in trained.history], [b.inputs for b in batches], trained.network.state_dict()

    return alone


@pytest.fixture(scope="module")
def crew(cohort, tmp_path_factory):
    """Return the plans of all variations, and what two processes came to by them, one after the other."""
    folder = tmp_path_factory.mktemp("crew")
    plan = make_plan("unet", ("T1w",), "FLAIR", minutes=5, max_steps=STEPS, precision="32-true", seed=0, patch=16)
    plans = {name: varied(plan, name) for name in VARIATIONS}
    timed = dataclasses.replace(plan, minutes=0.02, max_steps=None)  # the first one's clock ends it for both
    assert together(folder, cohort, [*plans.values(), timed]) == [0, 0]
    return plans, known(folder), folder


@pytest.mark.parametrize("variation", VARIATIONS)
def test_two_processes_take_the_steps_of_one(crew, alone, variation):
    plans, (first, _), _ = crew
    number = list(plans).index(variation)
    losses, _, weights = alone(plans[variation])
    assert first["losses"][number] == pytest.approx(losses, rel=2e-2)
    for name, tensor in first["weights"][number].items():
        # Sums come out otherwise in the last bit, and orthogonalized steps enlarge it; means of deep layers, most.
        atol = 0.06 if name.endswith("running_mean") else 0.02
        assert torch.allclose(tensor, weights[name], rtol=0.05, atol=atol), name


def test_both_end_with_the_same_bits(crew):
    _, (first, second), _ = crew
    assert len(first["weights"]) == len(second["weights"]) == len(VARIATIONS) + 1
    for ours, theirs in zip(first["weights"], second["weights"], strict=True):
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_every_patch_of_a_batch_is_learned_from_once(crew, alone):
    plans, ranks, _ = crew
    of_each = STEPS + 1  # the last batch settles the statistics
    for name in ("default", "slabs"):
        start = of_each * list(plans).index(name)
        _, batches, _ = alone(plans[name])
        for place, batch in enumerate(batches, start):
            mine, theirs = (known["shares"][place] for known in ranks)
            assert len(mine) + len(theirs) == len(batch) == plans[name].batch
            assert torch.equal(torch.stack([mine, theirs], 1).flatten(0, 1), batch)


def test_what_the_first_asks_for_beside_trainings_is_done_by_both(crew, cohort):
    plans, (first, second), _ = crew
    assert first["seconds"] > 0
    volumes = [TrainingVolume.hold(load_volume(pair, plans["default"].features)) for pair in cohort]
    _, test = find_rate(volumes, plans["default"], make_fabric("cpu", "32-true"))
    assert first["rate"][: len(test.rates)] == pytest.approx(test.rates[: len(first["rate"])])
    assert (second["losses"], second["steps"]) == ([], [])  # which the first alone knows


def test_each_checkpoint_is_written_by_the_first(crew):
    plans, _, folder = crew
    assert sorted(path.name for path in folder.glob("*.pt")) == sorted(
        [*(f"{number}.pt" for number in range(len(plans) + 1)), "known-0.pt", "known-1.pt"]
    )
    assert Checkpoint(folder / "0.pt").read()["finished"]


@pytest.mark.slow
def test_a_crew_that_was_killed_goes_on(cohort, plan, tmp_path):
    plan = varied(plan, "error")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    assert together(whole, cohort, [plan]) == [0, 0]
    statuses = together(killed, cohort, [plan], last=3)
    assert statuses[0] == 1
    assert statuses[1] != 0  # it is not left waiting for the first one
    assert together(killed, cohort, [plan]) == [0, 0]
    (before, _), (after, _) = known(whole), known(killed)
    assert after["steps"][0] in {2, 3}  # killed before the third was written, the second where writing is slow
    assert after["losses"] == before["losses"]
    assert all(torch.equal(tensor, after["weights"][0][name]) for name, tensor in before["weights"][0].items())
