"""What a bundle brings to the command line."""

import pytest

from bidsapp.cli.parser import settings_from
from bidsapp.errors import DataError, UsageError
from bidsapp.synthesis.manifest import Images, read_manifest, write_manifest


@pytest.fixture
def words(tmp_path):
    """Return a command with a bundle that predicts PDw from T2w and T1w."""
    methods = dict.fromkeys(("T2w", "T1w", "PDw"), "zscore")
    images = Images("zscore", "T1w", methods, ((1.0,) * 3,) * 2)
    manifest = {"Format": 3, "Plan": {"sources": ["T2w", "T1w"], "target": "PDw"}, "Images": images.to_json()}
    write_manifest(tmp_path, manifest)
    return ["/data", "/out", "group", "--model", str(tmp_path)]


def test_source_and_target_are_taken_from_the_bundle(words):
    taken = settings_from(words)
    assert (taken.source, taken.target, taken.normalization) == (("T2w", "T1w"), "PDw", "zscore")
    assert settings_from([*words, "--source", "T2w,T1w", "--target", "PDw"]) == taken


@pytest.mark.parametrize("more", [["--input-mode", "slices"], ["--slice-axis", "coronal"], ["--plan", "patch=48"]])
def test_a_bundle_that_is_applied_is_shown_what_it_was_trained_on(words, more):
    with pytest.raises(UsageError, match=f"--model trains nothing, {more[0]} says how"):
        settings_from([*words, *more])


@pytest.mark.parametrize("more", [["--source", "T1w"], ["--source", "T1w,T2w"], ["--target", "FLAIR"]])
def test_another_source_or_target_is_a_contradiction(words, more):
    with pytest.raises(UsageError, match="predicts PDw from T2w,T1w, not") as raised:
        settings_from([*words, *more])
    assert "the bundle brings" in raised.value.hint


def test_a_settings_file_is_as_explicit(words, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('target = "FLAIR"\n')
    with pytest.raises(UsageError, match="not FLAIR from T2w,T1w"):
        settings_from([*words, "--config-file", str(file)])


def test_a_bundle_that_does_not_say_what_it_predicts(words, tmp_path):
    write_manifest(tmp_path, {**read_manifest(tmp_path), "Plan": {"sources": ["T2w"], "tarjet": "PDw"}})
    with pytest.raises(DataError, match=r"bundle\.json: 'target' is missing"):
        settings_from(words)
