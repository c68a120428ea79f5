"""Combinations of settings that contradict each other, or a bundle."""

import pytest

from bidsapp.cli.parser import settings_from
from bidsapp.errors import DataError, NoInputError, UsageError
from bidsapp.scales import IntensityScale
from bidsapp.synthesis.bundle import Split, write_bundle
from bidsapp.synthesis.manifest import Images, read_manifest, write_manifest
from bidsapp.synthesis.networks import build_network
from bidsapp.synthesis.plan import make_plan

from ..derived import CALIBRATION

PLACES = ["/data", "/out", "participant", "group"]


@pytest.fixture
def bundle(tmp_path):
    """Return the folder of a bundle of the article's network, on white-striped images."""
    plan = make_plan(
        "seed-resnet", ("T1w",), "FLAIR", minutes=1, max_steps=1, precision="32-true", seed=0, norm="weight"
    )
    network = build_network(plan.network, plan.inputs, plan.channels, 0, plan.norm)
    methods = {"T1w": "whitestripe", "FLAIR": "whitestripe"}
    images = Images("ravel", "T1w", methods, ((1.0,) * 3,) * 2)
    splits = [Split("sub-01", "sub-01", 0, True, "1")]
    about = {"calibration": CALIBRATION, "training_key": "k", "version": "1", "extra": {}}
    path = tmp_path / "out/models/T1w-to-FLAIR_seed-resnet"
    return write_bundle(path, plan, images, [network], IntensityScale("whitestripe", 0, 1), splits, **about).path


def test_a_training_takes_network_and_scale_from_the_bundle_that_it_starts_from(bundle):
    settings = settings_from([*PLACES, "--init-from", str(bundle)])
    assert settings.init_from == bundle
    assert (settings.network, settings.norm) == ("seed-resnet", "weight")
    assert (settings.normalization, settings.reference) == ("ravel", "T1w")
    assert settings_from([*PLACES, "--model", str(bundle)]).network == "unet"  # which nobody asks then


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--network", "unet"], "its network is seed-resnet, not unet"),
        (["--norm", "spectral"], "its norm is weight, not spectral"),
        (["--normalization", "zscore"], "reads images of --normalization ravel, not zscore"),
        (["--reference", "T2w", "--normalization", "whitestripe"], "on the grid of the T1w, not of the T2w"),
        (["--source", "T2w"], "predicts FLAIR from T1w, not FLAIR from T2w"),
        (["--model", "/"], "--model trains nothing"),
    ],
)
def test_what_a_bundle_to_start_from_does_not_fit_is_an_error(bundle, words, reason):
    with pytest.raises(UsageError, match=reason):
        settings_from([*PLACES, "--init-from", str(bundle), *words])


def test_a_bundle_from_before_there_were_input_modes_is_one_of_patches(bundle):
    manifest = read_manifest(bundle)
    del manifest["Plan"]["input_mode"], manifest["Plan"]["slice_axis"], manifest["Plan"]["sources_may_miss"]
    write_manifest(bundle, manifest)
    assert settings_from([*PLACES, "--init-from", str(bundle)]).input_mode == "patches"
    with pytest.raises(UsageError, match="its input_mode is patches, not slices"):
        settings_from([*PLACES, "--init-from", str(bundle), "--input-mode", "slices"])


def test_a_bundle_to_start_from_is_there_and_stays(bundle, tmp_path):
    with pytest.raises(NoInputError, match="no such bundle"):
        settings_from([*PLACES, "--init-from", "/no-such-bundle"])
    with pytest.raises(DataError, match=r"bundle\.json"):
        settings_from([*PLACES, "--init-from", str(tmp_path)])
    with pytest.raises(UsageError, match="the new bundle would take its place"):
        settings_from(["/data", str(tmp_path / "out"), "group", "--init-from", str(bundle)])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--target", "FLAIR", "--loss", "l1+gradient+bone"], "which a FLAIR has not"),
        (["--target", "ct", "--match-to", "normalized"], "a predicted CT has Hounsfield units"),
        (
            ["--target", "ct", "--match-to", "/x_desc-preproc_ct.nii.gz"],
            "a predicted CT has Hounsfield units",
        ),
    ],
)
def test_what_only_a_ct_has_or_has_not(words, reason):
    with pytest.raises(UsageError, match=reason):
        settings_from([*PLACES, *words])
    assert settings_from([*PLACES, "--target", "ct", "--loss", "l1+gradient+bone"]).loss == "l1+gradient+bone"


def test_folds_of_a_table_are_not_of_one_participant_each(tmp_path):
    table = tmp_path / "splits.tsv"
    table.touch()
    with pytest.raises(UsageError, match="--splits says whom to leave out") as raised:
        settings_from([*PLACES, "--splits", str(table), "--crossval"])
    assert "--plan minutes=N is of each training" in raised.value.hint
