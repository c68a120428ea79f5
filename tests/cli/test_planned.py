"""Fields of the plan on the command line."""

import pytest

from bidsapp.cli.parser import settings_from
from bidsapp.errors import UsageError

PLACES = ["/data", "/out", "group"]


def test_a_field_with_an_option_of_its_own_is_that_option():
    words = ["loss=mse", "patch=48", "learning_rate=0.01", "averaging=0.05", "sources=T1w,T2w", "seed=3"]
    words.append("sources_may_miss=true")
    options = ["--loss", "mse", "--lr", "0.01", "--ema", "0.05", "--source", "T1w,T2w", "--seed", "3"]
    options.append("--allow-missing-source")
    settings = settings_from([*PLACES, "--plan", *words])
    assert settings == settings_from([*PLACES, "--plan", "patch=48", *options])
    assert settings.plan == ("patch=48",)
    assert settings_from([*PLACES, "--plan", "patch=48", "--plan", "batch=2"]).plan == ("patch=48", "batch=2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["loss=mse", "--loss", "mse"], "--loss and --plan loss say the same"),
        (["averaging=0", "--ema", "0.1"], "--ema and --plan averaging say the same"),
        (["max_steps=5", "--max-steps", "5"], "--max-steps and --plan max_steps say the same"),
        (["minutes=5", "--max-minutes", "5"], "both limit a training"),
        (["loss=l2"], "loss = 'l2' is unknown"),
        (["optimizer=sgd"], "optimizer=sgd: there is adamw, muon"),
        (["seed=x"], "seed=x: 'x' is no whole number"),
        (["epochs=2", "max_steps=5"], "both say how long"),
        (["patch=4"], "4 is not within"),
        (["network=seed-resnet", "channels=8,16"], "2 levels"),
        (["patch=48", "--model", "/"], "--plan says how to train"),
        (["pach=48"], "a plan has no pach"),
    ],
)
def test_contradictions(words, said):
    with pytest.raises(UsageError, match=said) as raised:
        settings_from([*PLACES, "--plan", *words])
    assert raised.value.hint


def test_a_settings_file_repeats_the_plan_and_the_command_line_wins(tmp_path):
    file = tmp_path / "config.toml"
    first = settings_from([*PLACES, "--plan", "patch=48", "minutes=5", "loss=mse"])
    file.write_text(first.to_toml())
    words = ["--config-file", str(file)]
    assert settings_from(words) == first
    assert settings_from([*words, "--plan", "loss=l1"]).loss == "l1"
    assert settings_from([*words, "--plan", "loss=l1"]).plan == first.plan
    assert settings_from([*words, "--plan", "batch=3"]).plan == ("batch=3",)
    file.write_text('plan = ["loss=mse", "batch=3"]\n')
    settings = settings_from([*PLACES, *words, "--loss", "l1+ssim"])
    assert (settings.loss, settings.plan) == ("l1+ssim", ("batch=3",))
