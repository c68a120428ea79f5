import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bidsapp import group, participant
from bidsapp.bids.validate import find_program
from bidsapp.cli.main import main
from bidsapp.cli.status import main as tell_status
from bidsapp.errors import DataError
from bidsapp.status import VisitStatus

HEAVY = (
    "torch",
    "ants",
    "monai",
    "nipype",
    "niworkflows",
    "pandas",
    "numpy",
    "nibabel",
    "bids",
    "rich",
    "deepbet",
)


@pytest.fixture
def dataset(tmp_path):
    """Two visits with a reference, one without; the images are never opened."""
    raw = tmp_path / "raw"
    for name in (
        "sub-01/anat/sub-01_T1w",
        "sub-02/anat/sub-02_T1w",
        "sub-02/anat/sub-02_FLAIR",
        "sub-03/anat/sub-03_FLAIR",
    ):
        image = raw / f"{name}.nii.gz"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()
    (raw / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.10.0"}')
    return raw


@pytest.fixture(autouse=True)
def no_validator(monkeypatch):
    """Spare every run the start of the validator."""
    monkeypatch.setattr("bidsapp.bids.validate.find_program", lambda: None)


def only(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def last_line(capsys) -> str:
    return capsys.readouterr().err.rstrip().rsplit("\n", 1)[-1]


def pretend(monkeypatch, action):
    """Replace the participant level."""
    monkeypatch.setattr(participant, "run", lambda settings, selection, *_: action(selection))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--help", 0),
        ("--version", 0),
        ("", 64),
        ("/data /out all", 17),
        ("/data /out group --unknown-option 1", 64),
    ],
)
def test_quick_answers_import_nothing_heavy(words, code):
    script = (
        "import sys; from bidsapp.cli.main import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as stop: code = stop.code\n"
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *words.split()], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == f"loaded [] {code}"


def test_module_is_the_command():
    result = subprocess.run(
        [sys.executable, "-m", "bidsapp", "a", "b", "c"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 17
    assert result.stderr.rstrip().endswith("[exit 17]")
    assert "Traceback" not in result.stderr


def test_one_object_makes_exit_status_last_line_and_status_file(dataset, tmp_path, monkeypatch, capsys):
    pretend(monkeypatch, lambda selection: tuple(VisitStatus(v.label, "done") for v in selection.visits))
    code = main([str(dataset), str(tmp_path / "out"), "participant"])
    status = json.loads((only(tmp_path / "out/logs") / "status.json").read_text())
    assert code == status["exit_code"] == 0
    assert last_line(capsys) == status["last_line"] == "synthprep: 2 done, 1 skipped [exit 0]"
    (skipped,) = [visit for visit in status["visits"] if visit["state"] == "skipped"]
    assert (skipped["visit"], skipped["reason"]) == ("sub-03", "no T1w (it has FLAIR)")


def test_config_file_of_a_run_repeats_it(dataset, tmp_path, monkeypatch, capsys):
    seen = []
    pretend(monkeypatch, lambda selection: seen.append([v.label for v in selection.visits]) or ())
    main([str(dataset), str(tmp_path / "out"), "participant", "--participant-label", "02"])
    config = only(tmp_path / "out/logs") / "config.toml"
    main(["--config-file", str(config)])
    assert seen == [["sub-02"], ["sub-02"]]
    assert len(list((tmp_path / "out/logs").iterdir())) == 2


def test_failures_are_named_and_group_level_does_not_start(dataset, tmp_path, monkeypatch, capsys):
    failed = VisitStatus("sub-01", "failed", "image is empty", "replace it", exit_code=DataError.exit_code)
    pretend(monkeypatch, lambda selection: (failed,))
    words = [str(dataset), str(tmp_path / "out"), "participant", "group", "--participant-label", "01", "03"]
    assert main(words) == 65
    error = capsys.readouterr().err
    assert "sub-01 failed: image is empty (replace it)" in error
    assert error.rstrip().endswith("synthprep: 1 failed, 1 skipped [exit 65]")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("a.nii.gz: empty", "fetch it"), 65, "a.nii.gz: empty (fetch it)"),
        (OSError(28, "No space left on device", "/out/x"), 74, "/out/x: No space left on device"),
        (ZeroDivisionError("oops"), 1, "unexpected ZeroDivisionError: oops"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_whatever_ends_a_run_ends_in_one_line(dataset, tmp_path, monkeypatch, capsys, error, code, said):
    def raise_it(_):
        raise error

    pretend(monkeypatch, raise_it)
    assert main([str(dataset), str(tmp_path / "out"), "participant"]) == code
    line = last_line(capsys)
    assert line.startswith(f"synthprep: stopped: {said}")
    assert line.endswith(f"[exit {code}]")
    log_dir = only(tmp_path / "out/logs")
    assert json.loads((log_dir / "status.json").read_text())["exit_code"] == code
    if code in {1, 74}:
        assert str(log_dir) in line
        assert "Traceback" in (log_dir / "synthprep.log").read_text()


def test_debug_shows_where_an_error_came_from(dataset, tmp_path, monkeypatch, capsys):
    def raise_it(_):
        raise ZeroDivisionError

    pretend(monkeypatch, raise_it)
    main([str(dataset), str(tmp_path / "out"), "participant", "--debug"])
    assert "raise_it" in capsys.readouterr().err


def test_libraries_talk_to_the_log_file_only(dataset, tmp_path, monkeypatch, capsys):
    import logging
    import warnings

    def talk(_):
        warnings.warn("a library's warning", stacklevel=1)
        logging.getLogger("nipype.workflow").warning("a library's message")
        logging.getLogger("bidsapp.participant").warning("a message of ours")
        return ()

    pretend(monkeypatch, talk)
    main([str(dataset), str(tmp_path / "out"), "participant"])
    console = capsys.readouterr().err
    written = (only(tmp_path / "out/logs") / "synthprep.log").read_text()
    assert "a message of ours" in console
    assert "a library's" not in console
    for text in ("a library's warning", "a library's message", "a message of ours"):
        assert text in written


def test_logging_is_left_as_it_was(dataset, tmp_path, monkeypatch):
    import logging

    pretend(monkeypatch, lambda _: ())
    before = logging.getLogger().handlers, logging.getLogger().level, signal.getsignal(signal.SIGTERM)
    main([str(dataset), str(tmp_path / "out"), "participant"])
    assert (logging.getLogger().handlers, logging.getLogger().level, signal.getsignal(signal.SIGTERM)) == before


def with_images(dataset):
    """Give the images of a dataset content."""
    import nibabel as nib
    import numpy as np

    for path in dataset.rglob("*.nii.gz"):
        nib.save(nib.Nifti1Image(np.ones((30, 30, 30), np.float32), np.diag([3.0, 3, 3, 1])), path)


def test_dry_run_writes_nothing(dataset, tmp_path, capsys):
    with_images(dataset)
    assert main([str(dataset), str(tmp_path / "out"), "participant", "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert "sub-02/anat/sub-02_FLAIR.nii.gz" in captured.out
    assert captured.err.rstrip().endswith("synthprep: 2 selected, 1 skipped [exit 0]")
    assert not (tmp_path / "out").exists()


def test_a_dry_run_ends_as_a_run_would(dataset, tmp_path, capsys):
    with_images(dataset)
    (dataset / "sub-01/anat/sub-01_T1w.nii.gz").write_bytes(b"no image")
    assert main([str(dataset), str(tmp_path / "out"), "participant", "--dry-run"]) == 1
    assert last_line(capsys) == "synthprep: 1 selected, 1 failed, 1 skipped [exit 1]"
    words = [str(dataset), str(tmp_path / "out"), "participant", "--dry-run", "--participant-label"]
    assert main([*words, "01"]) == 65
    assert main([*words, "03"]) == 66
    assert not (tmp_path / "out").exists()


def test_what_the_validator_finds_in_what_is_read_ends_a_run(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.undo()
    if find_program() is None:
        pytest.skip("bids-validator-deno is not installed")
    (dataset / "sub-02/anat/sub-02_T1w.json").write_text("{")
    assert main([str(dataset), str(tmp_path / "out"), "participant"]) == 16
    assert "sub-02_T1w.json: JSON_INVALID" in last_line(capsys)


def test_stop_on_first_crash_stops_before_the_next_level(dataset, tmp_path, monkeypatch, capsys):
    states = {"sub-01": VisitStatus("sub-01", "done"), "sub-02": VisitStatus("sub-02", "failed", "x")}
    pretend(monkeypatch, lambda selection: tuple(states[visit.label] for visit in selection.visits))
    levels = []
    monkeypatch.setattr(group, "run", lambda *_: levels.append("group") or (VisitStatus("sub-01", "done"),))
    words = [str(dataset), str(tmp_path / "out"), "participant", "group"]
    assert main([*words, "--stop-on-first-crash"]) == 1
    assert levels == []
    assert main(words) == 1
    assert levels == ["group"]


def test_debug_shows_the_traceback_of_a_visit(dataset, tmp_path, monkeypatch, capsys):
    crash = tmp_path / "crash.txt"
    crash.write_text("Traceback of a step")
    failed = VisitStatus("sub-01", "failed", "x", crash_file=str(crash))
    pretend(monkeypatch, lambda _: (failed, VisitStatus("sub-02", "done")))
    words = [str(dataset), str(tmp_path / "out"), "participant"]
    main(words)
    assert "Traceback of a step" not in capsys.readouterr().err
    main([*words, "--debug"])
    assert "Traceback of a step" in capsys.readouterr().err


def test_a_run_that_is_killed_leaves_its_status(dataset, tmp_path):
    script = (
        "import os, signal, sys; from bidsapp import participant; from bidsapp.cli.main import main\n"
        "from bidsapp.status import VisitStatus\n"
        "def run(settings, selection, grant, log_dir, tell):\n"
        "    tell(VisitStatus('sub-01', 'done', seconds=1.0)); os.kill(os.getpid(), signal.SIGKILL)\n"
        "participant.run = run; main(sys.argv[1:])"
    )
    words = [sys.executable, "-c", script, str(dataset), str(tmp_path / "out"), "participant"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == -signal.SIGKILL
    status = json.loads((only(tmp_path / "out/logs") / "status.json").read_text())
    assert (status["exit_code"], status["last_line"]) == (None, "synthprep: running: 1 done, 1 skipped, 1 pending")
    assert {visit["visit"]: visit["state"] for visit in status["visits"]} == {
        "sub-01": "done",
        "sub-02": "pending",
        "sub-03": "skipped",
    }


def test_a_dry_run_of_the_group_level_alone_is_its_own(dataset, tmp_path, monkeypatch, capsys):
    with_images(dataset)
    asked = []
    monkeypatch.setattr(
        group, "run", lambda settings, *_: asked.append(settings) or (VisitStatus("a", "selected"),)
    )
    assert main([str(dataset), str(tmp_path / "out"), "group", "--dry-run"]) == 0
    assert last_line(capsys) == "synthprep: 1 selected [exit 0]"
    assert main([str(dataset), str(tmp_path / "out"), "participant", "group", "--dry-run"]) == 0
    assert "ask for it alone then" in capsys.readouterr().err
    assert len(asked) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("words", "code"), [(["--participant-label", "99"], 18), (["--session-label", "99"], 18)])
def test_nothing_selected(dataset, tmp_path, capsys, words, code):
    assert main([str(dataset), str(tmp_path / "out"), "participant", *words]) == code


def test_a_participant_without_an_image_had_their_turn(dataset, tmp_path, monkeypatch, capsys):
    (dataset / "sub-06/func").mkdir(parents=True)
    pretend(monkeypatch, lambda selection: tuple(VisitStatus(visit.label, "done") for visit in selection.visits))
    out = str(tmp_path / "out")
    assert main([str(dataset), out, "participant", "--participant-label", "01", "02", "03"]) == 0
    assert tell_status([out, "--labels"]) == 75
    assert main([str(dataset), out, "participant", "--participant-label", "06"]) == 18
    assert "sub-06 skipped: no image in anat/ or ct/ is selected" in capsys.readouterr().err
    assert tell_status([out, "--labels"]) == 0
    assert last_line(capsys) == "synthprep-status: 2 done, 2 skipped [exit 0]"


def test_no_dataset_leaves_no_output(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "nowhere"), str(tmp_path / "out"), "participant"]) == 66
    assert main([str(tmp_path / "empty"), str(tmp_path / "out"), "participant"]) == 16
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_created(dataset, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main([str(dataset), str(tmp_path / "file" / "out"), "participant"]) == 73
    assert main([str(dataset), str(tmp_path / "out"), "participant", "-w", str(tmp_path / "file" / "work")]) == 73


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_a_run_with_a_last_line(dataset, tmp_path, number, code):
    ready = tmp_path / "ready"
    script = (
        "import pathlib, signal, sys, time; from bidsapp import participant; from bidsapp.cli.main import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell starts background jobs deaf to it
        f"participant.run = lambda *_: (pathlib.Path({str(ready)!r}).touch(), time.sleep(60))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", script, str(dataset), str(tmp_path / "out"), "participant"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        while not ready.exists() and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, number)
        _, error = process.communicate(timeout=50)
    assert process.returncode == code
    assert error.rstrip().endswith(f"[exit {code}]")
    assert "Traceback" not in error
    assert json.loads((only(tmp_path / "out/logs") / "status.json").read_text())["exit_code"] == code
