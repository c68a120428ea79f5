"""Whose intermediate files stay, and what is said of those that a training goes on from."""

import logging
from pathlib import Path

import pytest

from bidsapp.participant import _tidy
from bidsapp.records import Visit
from bidsapp.settings import KEEP_WORK, Settings
from bidsapp.status import VisitStatus
from bidsapp.synthesis.checkpoint import kept_if_interrupted
from bidsapp.synthesis.partial import partial_folder


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("never", {"checkpoints"}),
        ("on-error", {"checkpoints", "sub_02"}),
        ("always", {"checkpoints", "sub_01", "sub_02"}),
    ],
)
def test_whose_files_stay(tmp_path, keep, left):
    assert keep in KEEP_WORK
    settings = Settings(Path("raw"), tmp_path, ("participant",), keep_work=keep)
    for folder in ("participant/sub_01/T1w_wf", "participant/sub_02/T1w_wf", "checkpoints/key"):
        (tmp_path / "work" / folder).mkdir(parents=True)
    for label, state in (("01", "done"), ("02", "failed")):
        _tidy(settings, Visit(label, None, ()), VisitStatus(f"sub-{label}", state))
    work = tmp_path / "work"
    assert {path.name for path in (*work.glob("participant/*"), work / "checkpoints") if path.exists()} == left


def test_an_interrupted_training_says_what_it_goes_on_from(tmp_path, caplog):
    def interrupted(error):
        with pytest.raises(type(error)), kept_if_interrupted(tmp_path):
            raise error
        return caplog.messages

    with caplog.at_level(logging.WARNING):
        assert interrupted(ValueError()) == []
        assert interrupted(KeyboardInterrupt()) == ["checkpoints of 0 trainings are kept, none was due yet"]
        (tmp_path / "fold-0_unet.pt").touch()
        assert interrupted(KeyboardInterrupt())[1].startswith(
            "checkpoints of 1 trainings are kept, the last one of "
        )


def test_a_folder_that_could_not_be_filled_is_gone(tmp_path):
    goal = tmp_path / "bundle"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".bundle.partial").symlink_to(tmp_path / "elsewhere")  # a trap
    with pytest.raises(FileNotFoundError), partial_folder(goal) as folder:
        (folder / "no/folder").write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    with partial_folder(goal) as folder:
        (folder / "a").write_text("x")
        folder.rename(goal)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "elsewhere"]
