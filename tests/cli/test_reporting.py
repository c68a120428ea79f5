"""Options that tell about a run instead of doing it."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bidsapp.cli.main import main
from bidsapp.cli.parser import build_parser, settings_from
from bidsapp.cli.reporting import MEANINGS, descriptor
from bidsapp.errors import ExitCode, UsageError


@pytest.fixture(scope="module")
def printed():
    words = [sys.executable, "-m", "bidsapp", "--bids-exec-spec"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_every_argument_is_described_and_nothing_else(printed):
    told = json.loads(printed)
    inputs = {entry["id"]: entry for entry in told["inputs"]}
    dests = {action.dest for action in build_parser()._actions} - {"help", "version", "bids_exec_spec"}
    assert set(inputs) == dests
    assert told["command-line"].startswith("synthprep [BIDS_DIR] [OUTPUT_DIR] [LEVELS] ")
    assert inputs["levels"]["value-choices"] == ["participant", "group"]
    assert inputs["levels"]["list"] is True
    assert inputs["max_minutes"]["type"] == "Number"
    assert inputs["participant_label"]["command-line-flag"] == "--participant-label"
    assert inputs["participant_label"]["list"] is True
    assert inputs["dry_run"]["type"] == "Flag"
    assert inputs["bids_filter_file"]["type"] == "File"


def test_every_exit_status_has_a_meaning():
    assert set(MEANINGS) == set(ExitCode)
    assert {entry["code"] for entry in descriptor(build_parser())["error-codes"]} == set(ExitCode) - {0}


def bosh():
    beside = Path(sys.executable).with_name("bosh")
    found = shutil.which("bosh") or (str(beside) if beside.is_file() else None)
    if found is None:
        pytest.skip("boutiques is not installed")
    return found


def test_boutiques_finds_the_descriptor_valid_and_makes_a_command_line_of_it(printed, tmp_path):
    file, invocation = tmp_path / "spec.json", tmp_path / "invocation.json"
    file.write_text(printed)
    checked = subprocess.run([bosh(), "validate", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    asked = {"bids_dir": "/d", "output_dir": "/o", "levels": ["participant", "group"], "max_minutes": 3.5}
    invocation.write_text(json.dumps({**asked, "participant_label": ["01", "02"], "dry_run": True}))
    words = [bosh(), "exec", "simulate", file, "-i", invocation]
    line = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
    settings = settings_from(line.split()[1:])
    assert settings.participant_label == ("01", "02")
    assert (settings.max_minutes, settings.dry_run, settings.levels) == (3.5, True, ("participant", "group"))


@pytest.mark.parametrize(
    "options", itertools.combinations(["--dry-run", "--reports-only", "--boilerplate-only", "--write-graph"], 2)
)
def test_what_takes_the_place_of_a_run_is_asked_for_alone(options):
    with pytest.raises(UsageError, match=f"{options[0]} writes .*, {options[1]} writes "):
        settings_from(["/data", "/out", "participant", *options])


def test_without_the_parser_nothing_is_printed_twice(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--bids-exec-spec"])
    assert stop.value.code in {0, None}
    assert json.loads(capsys.readouterr().out)["name"] == "synthprep"
