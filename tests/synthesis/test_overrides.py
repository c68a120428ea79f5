"""Fields of a plan that a person sets."""

import dataclasses
import typing

import pytest

from bidsapp.errors import UsageError
from bidsapp.records import Plan
from bidsapp.synthesis.networks import NETWORKS, build_network
from bidsapp.synthesis.overrides import check_size, overridden, read_overrides, typed
from bidsapp.synthesis.plan import RECIPES, make_plan


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("channels=32,64,128", (32, 64, 128)),
        ("channels=32", (32,)),
        ("patch=48", (48,)),
        ("patch=48,48,32", (48, 48, 32)),
        ("warmup=0.1", 0.1),
        ("weight_decay=0", 0.0),
        ("flip_averaging=False", False),
        ("features=mask,depth", ("mask", "depth")),
        ("features=", ()),
        ("precision=32-true", "32-true"),
        ("max_steps=none", None),
        ("max_steps=7", 7),
        ("epochs=2.5", 2.5),
    ],
)
def test_a_value_is_of_the_type_that_the_plan_declares(word, value):
    ((name, found),) = read_overrides([word]).items()
    assert (name, found, type(found)) == (word.partition("=")[0], value, type(value))


def test_every_field_of_a_plan_can_be_set():
    plan = make_plan("unet", ("T1w", "T2w"), "FLAIR", minutes=1.5, max_steps=3, precision="32-true", seed=0)
    words = []
    for name, value in dataclasses.asdict(plan).items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words.append(f"{name}={text}")
    assert dataclasses.replace(plan, **read_overrides(words)) == plan
    assert len(words) == len(typing.get_type_hints(Plan))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("patch", "no FIELD=VALUE"),
        ("pach=48", "a plan has no pach"),
        ("patch=48.5", "'48.5' is no whole number"),
        ("patch=8", "8 is not within 16 to 512"),
        ("batch=", "'' is no whole number"),
        ("channels=16,x", "'x' is no whole number"),
        ("channels=16,0", "0 is not within 1 to 4096"),
        ("warmup=1", "1 is not within"),
        ("minutes=nan", "'nan' is not finite"),
        ("flip_averaging=maybe", "neither true nor false"),
        ("features=mask,colour", "there is mask, depth"),
        ("precision=16", "there is 32-true"),
        ("loss=", "there is no value"),
    ],
)
def test_one_clear_error(word, said):
    with pytest.raises(UsageError, match=said) as raised:
        read_overrides([word])
    assert word in raised.value.message
    assert raised.value.hint


def test_a_field_is_given_once():
    with pytest.raises(UsageError, match="patch is given twice"):
        read_overrides(["patch=32", "patch=48"])


def test_types_that_no_field_has_yet():
    assert typed("none", bool | None) is None
    assert typed("TRUE", bool | None) is True
    assert typed("1,2", tuple[float, ...]) == (1.0, 2.0)


def test_networks_can_be_built_as_their_sizes_are_checked():
    for network in NETWORKS:
        check_size(network, "patches", {})
        check_size(network, "patches", {"patch": (RECIPES[network]["patch"] * 2,)})
    for network, channels in {
        "unet": (8,),
        "dynunet": (4, 8, 16),
        "segresnet": (8, 16),
        "seed-resnet": (4,),
    }.items():
        check_size(network, "patches", {"channels": channels})
        build_network(network, 2, channels, 0)


@pytest.mark.parametrize(
    ("network", "size", "said"),
    [
        ("seed-resnet", {"channels": (8, 16)}, "2 levels; seed-resnet has 1"),
        ("dynunet", {"channels": (8, 16)}, "2 levels; dynunet has 3 to 8"),
        ("unet", {"channels": ()}, "0 levels"),
        ("segresnet", {"channels": (8, 24)}, "double from level to level"),
        ("unet", {"channels": (8, 16, 32, 64, 128, 256)}, "40 voxels is too small for 6 levels"),
        ("unet-base", {"channels": (8,) * 6, "patch": (48,)}, "48 voxels is too small for 6 levels"),
    ],
)
def test_sizes_that_do_not_fit_each_other(network, size, said):
    with pytest.raises(UsageError, match=said) as raised:
        check_size(network, "patches", size)
    assert raised.value.hint


def test_more_levels_fit_what_is_larger_than_a_patch():
    check_size("unet", "slice-patches", {"channels": (8, 16, 32, 64, 128, 256)})
    for mode in ("slices", "slabs", "volumes"):
        check_size("unet", mode, {"channels": (8, 16, 32, 64, 128)})
    with pytest.raises(UsageError, match="64 voxels is too small for 7 levels"):
        check_size("unet", "slice-patches", {"channels": (8,) * 7})


def test_one_number_is_the_edge_of_a_cube_or_of_a_square_in_the_slice():
    def planned(mode):
        return make_plan(
            "unet", ("T1w",), "FLAIR", minutes=1, max_steps=1, precision="32-true", seed=0, input_mode=mode
        )

    for mode, patch in {"patches": (48, 48, 48), "slice-patches": (48, 48, 1)}.items():
        assert overridden(planned(mode), read_overrides(["patch=48"])).patch == patch
    assert overridden(planned("patches"), read_overrides(["patch=48,48,32"])).patch == (48, 48, 32)


@pytest.mark.parametrize(
    ("mode", "patch", "said"),
    [
        ("slabs", (48,), "as large as the volume"),
        ("slice-patches", (48, 48, 48), "3 edges"),
        ("patches", (48, 48), "2 edges"),
        ("patches", (), "0 edges"),
    ],
)
def test_a_patch_that_the_mode_cannot_have(mode, patch, said):
    with pytest.raises(UsageError, match=said):
        check_size("unet", mode, {"patch": patch})
