"""Runs that are killed at random moments, or told to end: the same command then ends as if nothing had happened.

``make kill-test`` kills 30 times, this suite three times; SYNTHPREP_KILLS and SYNTHPREP_KILL_SEED say otherwise.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("SYNTHPREP_KILLS", "3"))
MORE = "SYNTHPREP_KILLS" in os.environ or "SYNTHPREP_LONG" in os.environ
SEED = int(os.environ.get("SYNTHPREP_KILL_SEED", "2026"))
OPTIONS = (
    *("--sloppy", "--resolution", "4", "--max-steps", "6", "--no-baseline", "--omp-nthreads", "1"),
    *("--participant-label", "01", "02"),
)
MARK = "SYNTHPREP_TEST_RUN"
TEMPORARY = re.compile(r"\..*\.(part|partial)")
# A guard against hanging, not a measure.
HANGS = 900


def start(raw, out, level, mark, *more):
    words = map(str, [raw, out, level, *OPTIONS, "--nprocs", "2", *more])
    command = [sys.executable, "-m", "bidsapp", *words]
    said = {"env": {**os.environ, MARK: mark}, "stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    return subprocess.Popen(command, text=True, **said)


def finish(process):
    _, said = process.communicate(timeout=HANGS)
    return process.returncode, said


def survivors(mark):
    """Return the processes that a run has left behind."""
    left = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            lines = (folder / "environ").read_bytes().split(b"\0")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in lines and state != "Z":
            left.append(folder.name)
    return left


def wait_until_gone(mark):
    for _ in range(300):
        if not survivors(mark):
            return
        time.sleep(0.1)
    raise AssertionError(f"processes of the run are left behind: {survivors(mark)}")


def say(text):
    """What ``pytest -s`` shows."""
    sys.stdout.write(f"{text}\n")


def files(out):
    """Return all files of the derivatives; logs tell of the run, and the work folder is no output."""
    return {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and path.relative_to(out).parts[0] not in {"logs", "work"}
    }


def differing(out, expected):
    assert files(out) == files(expected)
    return [name for name in sorted(files(out)) if told(out / name) != told(expected / name)]


def told(path):
    """Return the bytes of a file; of a page without what is meant to tell of more than the visit.

    That is the command, which names folders and processors, and the histograms, which are drawn beside those of
    whichever other visits were there.
    """
    content = path.read_bytes()
    if path.suffix == ".html":
        content = re.sub(rb'<pre class="command".*?</pre>', b"", content, flags=re.DOTALL)
        content = re.sub(rb'<section id="histograms">.*?</section>', b"", content, flags=re.DOTALL)
    return content


def temporary(out):
    found = out.rglob(".*") if out.is_dir() else []
    return [path for path in found if TEMPORARY.fullmatch(path.name) and "work" not in path.relative_to(out).parts]


@pytest.fixture(scope="module")
def calm(phantom_cohort, tmp_path_factory):
    """Both levels, undisturbed: the output after each, and how long it took."""
    folder = tmp_path_factory.mktemp("calm")
    out, took = folder / "out", {}
    for level in ("participant", "group"):
        began = time.monotonic()
        code, said = finish(start(phantom_cohort, out, level, "calm"))
        assert code == 0, said
        took[level] = time.monotonic() - began
        shutil.copytree(out, folder / level)
    return folder, took


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_ends_as_an_undisturbed_one(number, calm, phantom_cohort, tmp_path):
    folder, took = calm
    chance = random.Random(SEED + number)  # noqa: S311 - a draw, no secret
    level = ("participant", "group")[number % 2]
    out = tmp_path / "out"
    if level == "group":
        shutil.copytree(folder / "participant", out)
    share = chance.random()
    while True:
        mark = f"{tmp_path.name}-{share:.6f}"
        process = start(phantom_cohort, out, level, mark)
        try:
            process.wait(share * took[level])
        except subprocess.TimeoutExpired:
            break
        share /= 2  # the machine was faster than before: that was no kill
        shutil.rmtree(out)
        if level == "group":
            shutil.copytree(folder / "participant", out)
    process.kill()
    process.communicate()
    say(f"{number}: {level} killed after {share * took[level]:.1f} of {took[level]:.1f} s, {temporary(out)}")
    wait_until_gone(mark)
    # What is left is done by the same command, every other time by half as many processes: that is all one.
    fewer = ("--nprocs", "1") if number // 2 % 2 else ()
    code, said = finish(start(phantom_cohort, out, level, mark, *fewer))
    assert code == 0, said
    assert differing(out, folder / level) == []
    assert temporary(out) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_told_to_end_says_so_and_leaves_no_process(number, code, phantom_cohort, tmp_path):
    out = tmp_path / "out"
    process = start(phantom_cohort, out, "participant", tmp_path.name)
    for _ in range(HANGS):  # until steps are under way
        if len(list(out.glob("work/participant/*/*/*/result_*.pklz"))) > 1 or process.poll() is not None:
            break
        time.sleep(0.5)
    process.send_signal(number)
    began = time.monotonic()
    returned, said = finish(process)
    say(f"ended {time.monotonic() - began:.2f} s after the signal")
    assert returned == code, said
    assert "steps are done and kept" in said
    assert "run the same command again" in said.splitlines()[-1]
    assert said.rstrip().endswith(f"[exit {code}]")
    wait_until_gone(tmp_path.name)
    assert temporary(out) == []


@pytest.mark.skipif(not MORE, reason="takes minutes: make kill-test")
def test_the_same_input_leaves_the_same_bytes_however_it_was_spread(calm, phantom_cohort, tmp_path):
    folder, _ = calm
    for level in ("participant", "group"):
        code, said = finish(
            start(phantom_cohort, tmp_path / "out", level, "spread", "--nprocs", "1", "-w", tmp_path)
        )
        assert code == 0, said
    assert differing(tmp_path / "out", folder / "group") == []
