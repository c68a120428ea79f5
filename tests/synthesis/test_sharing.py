"""A bundle for others: without labels, and yet the same."""

import pytest
import torch

from bidsapp.errors import CannotCreateError
from bidsapp.records import Pair
from bidsapp.synthesis.manifest import read_manifest
from bidsapp.synthesis.pseudonyms import pseudonyms, renamed
from bidsapp.synthesis.sharing import share
from bidsapp.synthesis.splits import Split

from ..bundles import SPLITS, small_bundle

EARLIER = (Split("sub-03", "sub-03", 1, True, "d" * 64), Split("sub-01_ses-C", "sub-01", 0, True, "e" * 64))


@pytest.fixture
def bundle(tmp_path):
    return small_bundle(tmp_path / "bundle", earlier=EARLIER)


def pair(fingerprint, tmp_path):
    return Pair("sub-7", "sub-7", (tmp_path,), tmp_path, fingerprint=fingerprint)


def test_a_copy_has_no_label_and_is_the_same_bundle(bundle, tmp_path):
    copy = share(bundle.path, tmp_path / "copy", licence="Apache-2.0", notes="Scored well.")
    assert copy.sha256 == bundle.sha256
    everything = "".join(file.read_text() for file in copy.path.iterdir() if file.suffix != ".safetensors")
    for split in bundle.everybody:
        assert split.visit not in everything
        assert f"{split.participant}\t" not in everything
        scan = [pair(split.fingerprint, tmp_path)]
        assert copy.fold_of(scan) == bundle.fold_of(scan)
    assert copy.fold_of([pair("f" * 64, tmp_path)]) is None
    assert [split.fold for split in copy.splits] == [0, 0, 1]
    assert "Apache-2.0" in everything
    assert "Scored well." in everything
    states = [b.network(1).state_dict() for b in (bundle, copy)]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_a_copy_may_be_a_start_for_trainings_only(bundle, tmp_path):
    copy = share(bundle.path, tmp_path / "copy", initializer=True)
    assert (bundle.initializer, copy.initializer) == (False, True)
    assert "start for trainings only" in (copy.path / "README.md").read_text()
    assert "start for trainings only" not in (bundle.path / "README.md").read_text()


def test_a_bundle_for_tests_only_says_so_and_so_does_its_copy(bundle, tmp_path):
    sloppy = small_bundle(tmp_path / "sloppy", earlier=EARLIER, sloppy=True)
    copy = share(sloppy.path, tmp_path / "copy")
    assert (bundle.sloppy, sloppy.sloppy, copy.sloppy) == (False, True, True)
    # What it predicts is the same, and a manifest of before this was written says nothing of it.
    assert bundle.sha256 == sloppy.sha256 == copy.sha256
    assert "Sloppy" not in read_manifest(bundle.path)
    said = ["For tests only" in (b.path / "README.md").read_text() for b in (bundle, sloppy, copy)]
    assert said == [False, True, True]


def test_a_copy_of_a_copy_has_the_same_names(bundle, tmp_path):
    once = share(bundle.path, tmp_path / "once")
    twice = share(once.path, tmp_path / "twice")
    for name in ("splits.tsv", "earlier.tsv", "metrics.tsv"):
        assert (once.path / name).read_bytes() == (twice.path / name).read_bytes()
    assert twice.sha256 == bundle.sha256


def test_other_people_or_folds_are_another_bundle(bundle, tmp_path):
    moved = [Split(s.visit, s.participant, 1 - s.fold, True, s.fingerprint) for s in SPLITS]
    relabelled = [Split(f"{s.visit}X", f"{s.participant}X", s.fold, True, s.fingerprint) for s in SPLITS]
    plain = small_bundle(tmp_path / "plain")
    assert small_bundle(tmp_path / "relabelled", splits=relabelled).sha256 == plain.sha256
    assert small_bundle(tmp_path / "moved", splits=moved).sha256 != plain.sha256 != bundle.sha256


def test_nothing_is_overwritten(bundle, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(CannotCreateError, match="there: exists"):
        share(bundle.path, tmp_path / "there")
    (tmp_path / "file").touch()
    with pytest.raises(CannotCreateError, match="Not a directory"):
        share(bundle.path, tmp_path / "file" / "copy")


def test_pseudonyms_are_of_the_scans():
    names = pseudonyms(SPLITS)
    assert set(names) == {"sub-01", "sub-01_ses-A", "sub-01_ses-B", "sub-02"}
    assert names["sub-01_ses-B"] == f"{names['sub-01']}_ses-2"
    again = [Split(names[s.visit], names[s.participant], s.fold, True, s.fingerprint) for s in SPLITS]
    assert all(name == pseudonym for name, pseudonym in pseudonyms(again).items())
    unknown = [Split(label, label, 0, True, "") for label in ("sub-01", "sub-02")]
    assert len(set(pseudonyms(unknown).values())) == 2


def test_only_whole_labels_are_replaced():
    text = '{"Visit": "sub-01_ses-1", "x": [0.1, 1]}\nsub-01\tsub-011\tsub-01_ses-10'
    names = {"sub-01": "P", "sub-01_ses-1": "V"}
    assert renamed(text, names) == '{"Visit": "V", "x": [0.1, 1]}\nP\tsub-011\tsub-01_ses-10'
