"""Both levels in a namespace that has no network at all: nothing is downloaded or asked for at run time."""

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def without_network():
    """Return the words before a command that take the network from it."""
    for words in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
        ):
            return words
    pytest.skip("unshare is absent, or may not make a namespace of the network")


def test_nothing_is_downloaded(without_network, phantom_cohort, tmp_path):
    script = "import socket; print([name for _, name in socket.if_nameindex()])"
    interfaces = subprocess.run(
        [*without_network, sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert interfaces.stdout.strip() == "['lo']"  # which is down
    home = tmp_path / "home"  # without caches of earlier downloads
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TEMPLATEFLOW")}
    words = ["--sloppy", "--resolution", "4", "--max-steps", "4", "--nprocs", "1", "--device", "cpu"]
    spaces = ["--output-spaces", "MNI152NLin2009aSym:res-4", "--template-registration", "affine"]
    command = [
        sys.executable,
        "-m",
        "bidsapp",
        phantom_cohort,
        tmp_path / "out",
        "participant",
        "group",
        *words,
        *spaces,
    ]
    result = subprocess.run(
        [*without_network, *map(str, command)],
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "synthprep: 4 done [exit 0]"
    assert len(list((tmp_path / "out").glob("sub-*/ses-*/anat/*_desc-synth_FLAIR.nii.gz"))) == 4
    assert not (home / ".cache/templateflow").exists()
