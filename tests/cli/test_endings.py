"""Whatever ends a command, it is told in one line."""

import subprocess
import sys

import pytest

from bidsapp.cli.endings import command
from bidsapp.cli.main import main as synthprep
from bidsapp.errors import DataError, ExitCode


def ending(raised):
    @command("synthprep-x")
    def main(words):
        assert words == ["a"]
        if raised:
            raise raised

    return main(["a"])


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (None, ExitCode.OK, ""),
        (DataError("t.nii: short", "fetch it"), 65, "synthprep-x: stopped: t.nii: short (fetch it) [exit 65]\n"),
        (KeyboardInterrupt(), 130, "synthprep-x: interrupted [exit 130]\n"),
        (PermissionError(13, "Permission denied", "/x"), 74, "synthprep-x: stopped: /x: Permission denied (check"),
    ],
)
def test_one_line_and_a_status(raised, code, line, capsys):
    assert ending(raised) == code
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == (1 if raised else 0)


def test_a_reader_who_has_enough_is_no_error():
    script = "import sys; from bidsapp.cli.models import main; sys.exit(main(['list']))"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(), said) == (0, b"")


def test_a_path_that_the_system_refuses_is_told_before_there_is_a_log(tmp_path, capsys):
    words = [str(tmp_path), str(tmp_path / ("n" * 300)), "participant", "--splits", str(tmp_path / ("s" * 300))]
    assert synthprep(words) == 74
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("option", ["", "--work-dir", "--bids-database-dir"])
def test_a_dry_run_says_what_cannot_be_created(option, tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    (tmp_path / "file").touch()
    bad, good = str(tmp_path / "file/out"), str(tmp_path / "out")
    words = [good, "participant", option, bad] if option else [bad, "participant"]
    assert synthprep([str(tmp_path / "raw"), *words, "--dry-run"]) == 73
    assert f"{tmp_path / 'file'} is no folder" in capsys.readouterr().err
    inside = [str(tmp_path / "raw"), good, "participant", "--bids-database-dir", str(tmp_path / "raw/index")]
    assert synthprep(inside) == 64
