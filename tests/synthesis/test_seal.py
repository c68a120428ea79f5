"""A bundle is refused when anything in it is not what it says; each time with one clear error."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from bidsapp.errors import DataError
from bidsapp.synthesis.bundle import read_bundle
from bidsapp.synthesis.manifest import read_manifest, write_manifest
from bidsapp.synthesis.seal import CHECKSUM

from ..bundles import reseal, small_bundle


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a bundle."""
    return small_bundle(tmp_path / "bundle").path


def refusal(folder):
    with pytest.raises(DataError) as raised:
        read_bundle(folder)
    assert str(folder) in raised.value.message
    assert raised.value.hint
    return raised.value.message.removeprefix(f"{folder}/")


def edit_manifest(folder, change):
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["fold-1.safetensors", "splits.tsv", "metrics.tsv", "README.md"])
def test_a_byte_of_any_file(folder, name):
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    assert refusal(folder) == f"{name}: was changed after it was written"


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["Plan"].update(flip_averaging=True),
        lambda content: content["TargetScale"].update(Offset=0.0),
        lambda content: content["Images"].update(Normalization="zscore"),
        lambda content: content.update(Version="1.0"),
        lambda content: content.update(InitializedFrom=None),
        lambda content: content["Files"].pop("splits.tsv"),
        lambda content: content.pop(CHECKSUM),
    ],
)
def test_a_word_of_the_manifest(folder, change):
    edit_manifest(folder, change)
    assert refusal(folder) == "bundle.json: was changed after it was written"


@pytest.mark.parametrize("name", ["run.py", "weights.pkl", "fold-0.pt", "fold-2.safetensors", "notes.md", "more/"])
def test_a_file_that_nobody_lists(folder, name):
    path = folder / name
    path.mkdir() if name.endswith("/") else path.touch()
    assert refusal(folder) == f"{path.name}: is no file of this bundle"


def test_what_file_managers_leave_is_nothing(folder):
    (folder / ".DS_Store").touch()
    assert read_bundle(folder).name == "bundle"


NAMES = ["../a.tsv", "/etc/a.tsv", "a/b.tsv", ".a.tsv", "run.py", "bundle.json", "a\n.tsv"]


@pytest.mark.parametrize("name", NAMES)
def test_a_listed_name_that_leads_elsewhere_or_is_code(folder, name):
    content = read_manifest(folder)
    write_manifest(folder, {**content, "Records": {**content["Records"], name: "0" * 64}})
    assert refusal(folder) == f"bundle.json: lists {name!r}, which is no file of a bundle"


def test_a_link_out_of_the_folder(folder, tmp_path):
    (folder / "metrics.tsv").rename(tmp_path / "elsewhere.tsv")
    (folder / "metrics.tsv").symlink_to(tmp_path / "elsewhere.tsv")
    assert refusal(folder) == "metrics.tsv: is a link out of the bundle"


@pytest.mark.parametrize("name", ["fold-0.safetensors", "splits.tsv", "README.md"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    assert refusal(folder) == f"{name}: is missing"


def test_missing_splits_that_nobody_lists(folder):
    (folder / "splits.tsv").unlink()
    reseal(folder)
    assert refusal(folder).startswith("splits.tsv: no table of who was seen")


HEAD = "visit\tparticipant\tfold\ttrained_on\tfingerprint\n"


@pytest.mark.parametrize("rows", ["", "a\ta\tx\ttrue\tc\n", "a\ta\tn/a\ttrue\tc\n"])
def test_splits_that_are_none(folder, rows):
    (folder / "splits.tsv").write_text(HEAD + rows)
    reseal(folder)
    assert refusal(folder).startswith("splits.tsv: n")


@pytest.mark.parametrize("fold", ["7", "-1", "1000000000"])
def test_splits_of_other_folds_than_the_weights(folder, fold):
    path = folder / "splits.tsv"
    path.write_text(path.read_text().replace("sub-02\t1", f"sub-02\t{fold}"))
    reseal(folder)
    assert refusal(folder) == "splits.tsv: its folds are not those of the weights"


def test_weights_that_end_early(folder):
    path = folder / "fold-0.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    reseal(folder)
    assert refusal(folder).startswith("fold-0.safetensors: no safetensors file, or not all of it")


class Harmful:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def pickled(path):
    path.write_bytes(pickle.dumps(Harmful()))


def saved_by_torch(path):
    torch.save(Harmful(), path)


@pytest.mark.parametrize("write", [pickled, saved_by_torch])
def test_a_pickle_by_the_name_of_weights_is_not_opened(folder, write):
    write(folder / "fold-0.safetensors")
    reseal(folder)
    assert refusal(folder).startswith("fold-0.safetensors: no safetensors file")


FIRST = "body.0.0.weight"


def with_first(change):
    return lambda state: {name: change(t) if name == FIRST else t for name, t in state.items()}


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda state: {name: t for name, t in state.items() if name != FIRST}, FIRST),
        (lambda state: {**state, "a": torch.zeros(1)}, "a"),
        (lambda state: {**state, "a": torch.zeros(10_000_000)}, "a"),
        (with_first(lambda t: torch.zeros(9, *t.shape)), FIRST),
        (with_first(torch.Tensor.double), FIRST),
    ],
)
def test_weights_of_another_network(folder, change, first):
    path = folder / "fold-1.safetensors"
    save_file(change(load_file(path)), path)
    reseal(folder)
    assert refusal(folder) == f"fold-1.safetensors: not the weights of the plan's network, {first} to begin with"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(folder, value):
    path = folder / "fold-1.safetensors"
    state = load_file(path)
    state["body.0.0.weight"][0, 0, 0, 0, 0] = value
    save_file(state, path)
    reseal(folder)
    assert refusal(folder) == "fold-1.safetensors: body.0.0.weight has numbers that are not finite"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", [1_000_000_000]),
        ("channels", [0]),
        ("channels", ["4"]),
        ("channels", 4),
        ("channels", [4] * 9),
        ("patch", [0, 16, 16]),
        ("patch", [16, 16]),
        ("network", "another"),
        ("network", ["unet"]),
        ("features", ["mask", "secret"]),
        ("loss", "none"),
        ("input_mode", "holograms"),
        ("flip_averaging", "yes"),
        ("learning_rate", "1"),
        ("seed", True),
        ("target", "../FLAIR"),
        ("sources", []),
        ("slice_axis", "oblique"),
    ],
)
def test_a_plan_that_is_none(folder, field, value):
    reseal(folder, Plan={**read_manifest(folder)["Plan"], field: value})
    assert refusal(folder).startswith("bundle.json: ")


def test_a_plan_that_is_larger_than_its_weights_costs_no_memory(folder):
    plan = {**read_manifest(folder)["Plan"], "network": "unet", "channels": [4096] * 8}
    reseal(folder, Plan=plan)
    assert refusal(folder).startswith("fold-0.safetensors: not the weights of the plan's network")


def test_a_plan_of_no_network_that_can_be_built(folder):
    plan = {**read_manifest(folder)["Plan"], "network": "unet", "channels": [4, 8], "norm": "spectral"}
    reseal(folder, Plan=plan)
    assert refusal(folder).startswith("bundle.json: its plan is of no network")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Format": 2}, "bundle.json: a bundle of format 2; this version of the software reads format 3"),
        ({"TargetScale": {"Method": "robust"}}, "bundle.json: 'Offset' is missing"),
        ({"Images": {}}, "bundle.json: 'SpacingMM' is missing"),
        ({"Files": None}, "bundle.json: 'Files' is missing"),
    ],
)
def test_a_manifest_that_is_none(folder, change, reason):
    write_manifest(folder, {**read_manifest(folder), **change})
    assert refusal(folder) == reason


def test_a_manifest_that_is_no_json_or_has_no_numbers(folder):
    path = folder / "bundle.json"
    text = path.read_text()
    for changed in ("", "[]", text.replace("100.0", "NaN"), text.replace("100.0", "Infinity")):
        path.write_text(changed)
        assert refusal(folder).startswith("bundle.json: no")
    path.write_text(text + " " * 16_000_000)
    assert refusal(folder) == "bundle.json: too large for a bundle's"


def test_a_scale_of_a_cohort_that_is_none(folder):
    content = read_manifest(folder)
    path = folder / "population.safetensors"
    write_manifest(folder, {**content, "Files": {**content["Files"], path.name: "0" * 64}})
    for number, method, reason in ((np.nan, "nyul", "not finite"), (1.0, None, "no scale of a cohort")):
        save_arrays({"T1w": np.array([number])}, path, metadata=method and {"method": method})
        reseal(folder)
        assert reason in refusal(folder)
