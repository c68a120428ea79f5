"""What is settled before a training."""

from dataclasses import replace
from pathlib import Path

import pytest

from bidsapp import group, planning
from bidsapp.errors import NoInputError, UsageError
from bidsapp.planning import features_asked
from bidsapp.records import Pair
from bidsapp.resources import Grant
from bidsapp.settings import Settings
from bidsapp.synthesis.training import make_fabric


def test_fields_of_the_plan_that_were_set_are_the_plans_and_ask_for_new_training(tmp_path):
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("group",), device="cpu", omp_nthreads=1)
    fabric = make_fabric("cpu", "32-true")
    asked = replace(settings, max_steps=3, plan=("patch=48", "channels=8,16", "features=mask", "weight_decay=0.1"))
    plan, baseline = planning.plans_of(asked, 2, fabric)
    assert (plan.patch, plan.channels, plan.features, plan.weight_decay) == ((48, 48, 48), (8, 16), ("mask",), 0.1)
    assert (baseline.patch, baseline.channels, baseline.weight_decay) == ((32, 32, 32), (32,), 0.01)
    assert planning.plans_of(replace(asked, sloppy=True), 2, fabric)[0].patch == (48, 48, 48)
    assert features_asked(asked) == ("mask",)
    assert features_asked(settings)[:2] == ("mask", "depth")
    assert planning.request(asked) != planning.request(replace(asked, plan=asked.plan[:-1]))
    assert planning.request(asked) == planning.request(replace(asked, plan=asked.plan[::-1]))
    assert (
        group._fabric(replace(settings, plan=("precision=32-true",)), Grant(1, 4.0, 0, ()))._precision.precision
        == "32-true"
    )


def test_minutes_end_a_training_where_nothing_is_counted_or_where_they_were_asked_for(tmp_path):
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("group",), device="cpu", omp_nthreads=1)
    fabric = make_fabric("cpu", "32-true")

    def minutes(**asked):
        return [plan.minutes for plan in planning.plans_of(replace(settings, **asked), 3, fabric)]

    assert minutes(max_steps=5000) == minutes(epochs=9.0) == minutes(sloppy=True) == [None, None]
    assert minutes(max_steps=5000, max_minutes=20.0) == pytest.approx([2.0, 2.0])  # 0.6 of 20 for six trainings
    assert minutes(max_minutes=20.0, crossval=True, max_steps=9) == [20.0, 20.0]
    assert planning.minutes_of(settings) == 60
    assert minutes(plan=("minutes=2",), max_steps=9) == [2.0, 2.0]  # of each training, the baseline's, too


def test_networks_that_are_trained_further_may_have_learned_of_a_source_elsewhere(tmp_path):
    settings = Settings(tmp_path, tmp_path, ("group",), source=("T1w", "T2w"), allow_missing_source=True)
    t1w, mask, flair = map(Path, ("t1w", "mask", "flair"))
    pairs = [Pair(f"sub-{n}", f"sub-{n}", (t1w, None), mask, flair) for n in range(3)]
    with pytest.raises(NoInputError, match=r"0 participant\(s\) have T2w"):
        planning.folds_of(settings, pairs)
    assert len(planning.folds_of(replace(settings, init_from=tmp_path), pairs)) == 3


def test_who_has_no_value_to_balance_by_is_named_and_that_nobody_has_one_is_an_error(tmp_path, caplog):
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tage\tsite\nsub-01\t30\tn/a\n02\tn/a\tn/a\n03\t40\n"
    )
    settings = Settings(Path("/in"), tmp_path, ("group",), stratify="age")
    pairs = [
        Pair(f"sub-{n}", f"sub-{n}", (tmp_path,), tmp_path, target=tmp_path) for n in ("01", "02", "03", "04")
    ]
    assert len(planning.folds_of(settings, pairs)) == 4
    assert caplog.messages == ["--stratify age: no value of sub-02, sub-04"]
    with pytest.raises(UsageError, match="--stratify site: nobody who is learned from has a value"):
        planning.folds_of(replace(settings, stratify="site"), pairs)


def test_a_new_participant_without_a_target_asks_for_no_new_training_of_stratified_folds(tmp_path):
    settings = Settings(Path("/in"), tmp_path, ("group",), stratify="age")
    known = [Pair(f"sub-{n}", f"sub-{n}", (tmp_path,), tmp_path, target=tmp_path) for n in ("01", "02")]

    def key(pairs, *ages):
        rows = "".join(f"sub-{number:02}\t{age}\n" for number, age in enumerate(ages, 1))
        (tmp_path / "participants.tsv").write_text(f"participant_id\tage\n{rows}")
        return planning.goal_of(settings, pairs, None)[1]

    before = key(known, 30, 40)
    assert key([*known, Pair("sub-03", "sub-03", (tmp_path,), tmp_path)], 30, 40, 50) == before
    assert key(known, 30, 41) != before
