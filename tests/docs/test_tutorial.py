"""The tutorial's commands, one after the other, for real: fewer people, coarse and quick."""

import subprocess
import sys

import pytest

from .commands import ROOT, commands_of

pytestmark = pytest.mark.slow

# What makes it quick. Everything else is as the page shows it.
SMALLER = {"--participants": "3", "--resolution": "2", "--max-minutes": None, "--max-steps": None}
COARSE = ["--sloppy", "--nprocs", "1"]
QUICK = [*COARSE, "--max-steps", "4", "--no-baseline"]
RUN = "import sys; from bidsapp.cli.{} import main; sys.exit(main(sys.argv[1:]))"


def smaller(words):
    """Return words with smaller numbers after some options, without others."""
    kept, words = [], list(words)
    while words:
        word = words.pop(0)
        if word not in SMALLER:
            kept.append(word)
            continue
        words.pop(0)
        if SMALLER[word] is not None:
            kept += [word, SMALLER[word]]
    return kept


def test_the_tutorial_runs_from_its_first_command_to_its_last(tmp_path):
    said = []
    commands = commands_of(ROOT / "docs/tutorial.md")
    assert len(commands) >= 10
    for command in commands:
        program, *words = command.words
        module = {"synthprep": "main", "synthprep-phantom": "phantom", "synthprep-models": "models"}[program]
        quick = QUICK if program == "synthprep" else []
        if "--model" in words:
            quick = COARSE
        line = [sys.executable, "-c", RUN.format(module), *smaller(words), *quick]
        result = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{' '.join(command.words)}\n{result.stderr}"
        said.append(result.stdout + result.stderr)
    assert (tmp_path / "out/group.html").is_file()
    assert list(tmp_path.glob("out/sub-*/ses-*/anat/*_desc-synth_FLAIR.nii.gz"))
    assert list(tmp_path.glob("out2/sub-*/ses-*/anat/*_desc-synth_FLAIR.nii.gz"))
    assert (tmp_path / "shared/bundle.json").is_file()
    assert "held out" in " ".join(said)
