"""Settings and their TOML."""

from pathlib import Path

import pytest

from bidsapp.config import read_toml
from bidsapp.errors import UsageError
from bidsapp.settings import Settings


def test_round_trip(tmp_path):
    settings = Settings(
        Path("/a"),
        Path("/b"),
        ("group",),
        participant_label=("01", "02"),
        max_minutes=2.5,
        crossval=True,
        mem_gb=4.0,
    )
    path = tmp_path / "config.toml"
    path.write_text(settings.to_toml())
    assert Settings(**read_toml(path)) == settings


def test_whole_number_of_minutes_is_a_number(tmp_path):
    (tmp_path / "c.toml").write_text("max_minutes = 3\n")
    assert read_toml(tmp_path / "c.toml") == {"max_minutes": 3.0}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("colour = 1", "unknown settings colour"),
        ('seed = "x"', "seed"),
        ("seed = true", "seed"),
        ("source = [1]", "source"),
        ('levels = "group"', "levels"),
        ("x = ", "no valid TOML"),
    ],
)
def test_bad_content_names_file_and_setting(tmp_path, text, word):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=word) as caught:
        read_toml(path)
    assert str(path) in caught.value.message


def test_missing_file(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml"):
        read_toml(tmp_path / "none.toml")
