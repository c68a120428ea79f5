"""A disk that is full or read-only: one clear line, the right exit status, and no file that is there in part.

A small disk in memory is mounted in a namespace of its own, which many systems permit to everybody.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from bidsapp.bids.leftovers import TEMPORARY

pytestmark = pytest.mark.slow

OPTIONS = ("--sloppy", "--resolution", "4", "--nprocs", "1", "--max-steps", "4", "--no-baseline")
MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 || exit 99; '
# What was written comes back through a pipe, for the disk is gone with its namespace.
THEN_LIST = '"$@"; status=$?; cd "$OUT" && tar cf "$ARCHIVE" --exclude=./work . ; exit $status'


@pytest.fixture
def on_small_disk(tmp_path):
    """Return a function that runs a level on a disk of so many bytes, and returns exit status, messages, files."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.skip("unshare and mount are not there")
    disk, files = tmp_path / "disk", tmp_path / "files"
    disk.mkdir()
    files.mkdir()
    may = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "none", disk], capture_output=True, check=False
    )
    if may.returncode:
        pytest.skip(f"mounting is not permitted: {may.stderr.decode().strip()}")

    def run(size, raw, *words, before="", out=disk / "out"):
        script = MOUNT + before + THEN_LIST
        command = [sys.executable, "-m", "bidsapp", raw, out, *words, *OPTIONS]
        result = subprocess.run(
            ["unshare", "-rm", "sh", "-c", script, "sh", size, disk, *map(str, command)],
            env={**os.environ, "OUT": str(out), "ARCHIVE": str(tmp_path / "archive.tar")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode != 99, result.stderr
        if (tmp_path / "archive.tar").stat().st_size:
            subprocess.run(["tar", "xf", tmp_path / "archive.tar", "-C", files], check=True)
        said = [line for line in result.stderr.splitlines() if not line.startswith("granted: ")]
        return result.returncode, said, files

    return run


def torn(files):
    """Return the files of a dataset that are temporary, or there in part."""
    found = [path for path in files.rglob("*") if TEMPORARY.fullmatch(path.name)]
    for path in files.rglob("*.json"):
        try:
            json.loads(path.read_text())
        except ValueError:
            found.append(path)
    packed = files.rglob("*.nii.gz")
    found += [path for path in packed if subprocess.run(["gzip", "-t", path], check=False).returncode]
    return found


@pytest.mark.parametrize("size", ["100k", "2m", "6m"])
def test_a_disk_that_is_full(on_small_disk, phantom_cohort, size):
    code, said, files = on_small_disk(size, phantom_cohort, "participant", "--participant-label", "01")
    assert code in {73, 74}, said
    assert len(said) == 1, said
    assert re.search(r"No space left on device \(.*make room|cannot be|No space left", said[0])
    assert said[0].endswith(f"[exit {code}]")
    assert torn(files) == []


def test_an_output_folder_that_is_read_only(on_small_disk, phantom_cohort):
    before = 'mkdir "$OUT" && mount -o remount,ro "$(dirname "$OUT")"; '
    code, said, files = on_small_disk("1m", phantom_cohort, "participant", before=before)
    assert code == 73
    assert len(said) == 1
    assert "Read-only file system (give an output folder that can be written)" in said[0]
    assert list(files.iterdir()) == []
