"""A training that was killed goes on, and ends as if it had not been."""

import dataclasses
import signal
import subprocess
import sys

import pytest
import torch

from bidsapp.synthesis.checkpoint import Checkpoint, kept_plans
from bidsapp.synthesis.crossfit import cross_fit
from bidsapp.synthesis.ensemble import train_bundle
from bidsapp.synthesis.folds import make_folds
from bidsapp.synthesis.manifest import Images
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.plan import make_plan
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import make_fabric, train

FABRIC = make_fabric("cpu", "32-true")


class Killed(BaseException):
    """What a kill is to the code that it meets."""


@pytest.fixture
def stored(pairs, plan, tmp_path):
    return {p: TrainingVolume.store(load_volume(p, plan.features), tmp_path / p.visit) for p in pairs[:3]}


def killed_at(number):
    def on_step(step):
        if step.number == number:
            raise Killed

    return on_step


def same(a, b):
    return all(torch.equal(tensor, b[name]) for name, tensor in a.items())


@pytest.mark.parametrize(
    "variation", [{}, {"sampling": "error"}, {"sampling": "error", "augmentation": "spatial+physics"}]
)
def test_a_killed_training_ends_as_one_that_was_not(stored, plan, tmp_path, variation):
    volumes = list(stored.values())
    plan = dataclasses.replace(plan, max_steps=5, **variation)
    whole = train(volumes, plan, FABRIC)
    with pytest.raises(Killed):
        train(volumes, plan, FABRIC, killed_at(3), checkpoint=Checkpoint(tmp_path / "c.pt", every=0))
    steps = []
    resumed = train(volumes, plan, FABRIC, steps.append, checkpoint=Checkpoint(tmp_path / "c.pt"))
    numbers = [step.number for step in steps]
    assert numbers == [*range(numbers[0], 6)]
    assert 1 < numbers[0] <= 3  # killed before the third was written
    assert [step.loss for step in resumed.history] == [step.loss for step in whole.history]
    assert same(whole.network.state_dict(), resumed.network.state_dict())

    again = train(volumes, plan, FABRIC, killed_at(5), checkpoint=Checkpoint(tmp_path / "c.pt"))
    assert same(whole.network.state_dict(), again.network.state_dict())  # finished: no step is taken
    assert again.history == resumed.history


def test_the_seconds_before_the_kill_count(stored, plan, tmp_path):
    timed = dataclasses.replace(plan, minutes=10 / 60, max_steps=None)  # 9.5 s are for steps, at a second each
    ticks = iter(range(1000))
    checkpoint = Checkpoint(tmp_path / "c.pt", every=0)
    with pytest.raises(Killed):
        train(list(stored.values()), timed, FABRIC, killed_at(7), lambda: float(next(ticks)), checkpoint)
    ticks = iter(range(5000, 6000))
    checkpoint = Checkpoint(tmp_path / "c.pt")
    trained = train(list(stored.values()), timed, FABRIC, bool, lambda: float(next(ticks)), checkpoint)
    assert trained.steps == 10
    assert trained.history[-1].seconds == 10


def test_writing_costs_a_hundredth_of_the_time(tmp_path):
    times = iter([0, 19, 20, 23, 319, 322, 323, 326])  # each writing takes 3 s
    written = []
    checkpoint = Checkpoint(tmp_path / "c.pt", every=20, clock=lambda: next(times))
    checkpoint.write = written.append
    for number in range(4):
        checkpoint.offer(lambda number=number: {"number": number})
    assert written == [{"number": 1}]  # not after 19 s; after 20; not after 319
    checkpoint.offer(lambda: {"number": 4})
    assert written == [{"number": 1}, {"number": 4}]


def test_a_checkpoint_that_cannot_be_read_is_none(tmp_path, caplog):
    checkpoint = Checkpoint(tmp_path / "c.pt")
    assert checkpoint.read() is None
    checkpoint.write({"step": 3, "weights": torch.ones(2)})
    assert checkpoint.read()["step"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]  # nothing temporary is left
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:100])
    assert checkpoint.read() is None
    assert "c.pt: cannot be read" in caplog.text


def test_folds_that_are_finished_are_not_trained_again(pairs, stored, plan, tmp_path):
    plan = dataclasses.replace(plan, max_steps=2)
    baseline = make_plan("seed-resnet", ("T1w",), "FLAIR", minutes=5, max_steps=2, precision="32-true", seed=0)
    baseline = dataclasses.replace(baseline, patch=(16, 16, 16), channels=(4,))
    folds = make_folds(pairs, leave_one_out=True, seed=0)
    whole = cross_fit(stored, folds, plan, baseline, FABRIC, lambda *_: None, tmp_path / "whole")

    def kill(fold, running, step):
        if (fold.number, running.network, step.number) == (1, "seed-resnet", 2):
            raise Killed

    with pytest.raises(Killed):
        cross_fit(stored, folds, plan, baseline, FABRIC, kill, tmp_path / "c")
    seen = []
    resumed = cross_fit(
        stored, folds, plan, baseline, FABRIC, lambda f, p, s: seen.append((f.number, p.network)), tmp_path / "c"
    )
    assert seen == [(1, "seed-resnet")] * 2 + [(2, "unet")] * 2 + [(2, "seed-resnet")] * 2
    assert resumed.measured == whole.measured
    for a, b in zip(whole.trained, resumed.trained, strict=True):
        assert same(a.network.state_dict(), b.network.state_dict())


def test_a_bundle_that_is_written_needs_no_checkpoints(pairs, stored, plan, tmp_path):
    (tmp_path / "checkpoints/k").mkdir(parents=True)
    (tmp_path / "checkpoints/k/learning_rate.tsv").write_text("the curve")
    bundle = train_bundle(
        tmp_path / "models/x",
        pairs,
        stored,
        make_folds(pairs, leave_one_out=True, seed=0),
        dataclasses.replace(plan, max_steps=1),
        None,
        images=Images("robust", "T1w", {"T1w": "robust", "FLAIR": "robust"}, ((2.0,) * 3,) * 2),
        key="k",
        version="1",
        fabric=FABRIC,
        on_step=lambda *_: None,
        checkpoints=tmp_path / "checkpoints/k",
    )
    assert list((tmp_path / "checkpoints").iterdir()) == []
    assert (bundle.path / "learning_rate.tsv").read_text() == "the curve"  # a range test's, kept with the bundle


def test_plans_are_made_once(plan, tmp_path):
    made = iter([(plan, None), (dataclasses.replace(plan, patch=(64, 64, 64)), plan)])
    assert kept_plans(tmp_path / "a", lambda: next(made)) == (plan, None)
    assert kept_plans(tmp_path / "a", lambda: next(made)) == (plan, None)
    assert kept_plans(tmp_path / "b", lambda: next(made))[0].patch == (64, 64, 64)


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import torch
from bidsapp.synthesis.checkpoint import Checkpoint
from bidsapp.synthesis.plan import make_plan
from bidsapp.synthesis.sampling import TrainingVolume
from bidsapp.synthesis.training import make_fabric, train

torch.set_num_threads(1)
path, out = map(Path, sys.argv[1:])
plan = make_plan("unet", ("T1w",), "FLAIR", minutes=5, max_steps=30, precision="32-true", seed=3, patch=16)
random = np.random.default_rng(0)
shape = (24, 24, 24)
inputs, target = (random.normal(size=(n, *shape)).astype(np.float16) for n in (plan.inputs, 1))
mask = np.ones((1, *shape), bool)
volume = TrainingVolume(inputs, target, mask, np.arange(24**3, dtype=np.int32))

def on_step(step):
    print(step.number, flush=True)

checkpoint = Checkpoint(path, every=0.1)
trained = train([volume], plan, make_fabric("cpu", "32-true"), on_step, checkpoint=checkpoint)
torch.save(trained.network.state_dict(), out)
"""


@pytest.mark.slow
def test_kill_9(tmp_path):
    def start(name):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / f"{name}.pt"), str(tmp_path / f"{name}-out.pt")]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    assert start("whole").wait() == 0
    firsts = []
    for last in (8, 17):  # twice
        process = start("killed")
        numbers = []
        for line in process.stdout:
            numbers.append(int(line))
            if numbers[-1] == last:
                process.kill()
                break
        assert process.wait() == -signal.SIGKILL
        firsts.append(numbers[0])
    process = start("killed")
    firsts.append(int(process.communicate()[0].splitlines()[0]))
    assert process.returncode == 0
    assert 1 == firsts[0] < firsts[1] < firsts[2]
    weights = [torch.load(tmp_path / f"{name}-out.pt", weights_only=True) for name in ("whole", "killed")]
    assert same(*weights)
