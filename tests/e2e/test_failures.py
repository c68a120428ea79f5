"""A batch in which one scan is corrupt, one visit has no reference and one step is killed, as for memory."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bidsapp.cli.status import main as status_command
from bidsapp.phantom.cohort import simulate_cohort

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Four visits: the FLAIR of the first is cut short, the second has no T1w, the third nothing else."""
    folder = tmp_path_factory.mktemp("batch") / "raw"
    simulate_cohort(folder, participants=4, resolution=4.0, complete=True)
    flair = next(folder.glob("sub-01/**/*_FLAIR.nii.gz"))
    flair.write_bytes(flair.read_bytes()[:2000])
    for file in (*folder.glob("sub-02/**/*_T1w.nii.gz"), *folder.glob("sub-03/**/*_FLAIR.nii.gz")):
        file.unlink()
    return folder


def kill_whoever_works_in(folder: Path, process: subprocess.Popen) -> int:
    """Kill every process whose current folder is this one until the run ends, and return how many there were."""
    killed = set()
    while process.poll() is None:
        for entry in Path("/proc").iterdir():
            try:
                inside = entry.name.isdigit() and (entry / "cwd").readlink() == folder
            except OSError:  # gone meanwhile, or not ours
                continue
            if inside and int(entry.name) != process.pid:
                os.kill(int(entry.name), signal.SIGKILL)
                killed.add(entry.name)
        time.sleep(0.1)
    return len(killed)


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="no /proc, by which a step's process is found")
def test_three_are_named_and_the_others_finish(raw, tmp_path, capsys):
    out = tmp_path / "out"
    words = [sys.executable, "-m", "bidsapp", raw, out, "participant"]
    words += ["--sloppy", "--nprocs", "2", "--target", "FLAIR"]
    log = tmp_path / "console"
    with log.open("w") as console, subprocess.Popen([*map(str, words)], stdout=console, stderr=console) as process:
        killed = kill_whoever_works_in((out / "work/participant/sub_03_ses_1/T1w_wf/brain").resolve(), process)
    assert killed >= 2
    assert process.returncode == 1
    (log_dir,) = (path.parent for path in out.glob("logs/*/status.json"))
    status = json.loads((log_dir / "status.json").read_text())
    lines = log.read_text().rstrip().splitlines()
    assert status["last_line"] == lines[-1] == "synthprep: 1 done, 2 failed, 1 skipped [exit 1]"
    assert status["exit_code"] == 1

    with (log_dir / "status.tsv").open(newline="") as file:
        rows = {row["visit"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert {visit: row["state"] for visit, row in rows.items()} == {
        "sub-01_ses-1": "failed",
        "sub-02_ses-1": "skipped",
        "sub-03_ses-1": "failed",
        "sub-04_ses-1": "done",
    }
    corrupt, missing, killed_for_memory, done = (rows[f"sub-0{number}_ses-1"] for number in range(1, 5))
    flair = next(raw.glob("sub-01/**/*_FLAIR.nii.gz"))
    assert corrupt["node"] == "FLAIR_wf.header"
    assert corrupt["reason"].startswith(f"FLAIR header check: {flair}: ")
    assert corrupt["hint"] != "n/a"
    assert missing["reason"].startswith("no T1w")
    assert missing["hint"] == "every visit needs the reference"
    assert killed_for_memory["node"] == "T1w_wf.brain"
    assert "T1w brain mask: " in killed_for_memory["reason"]
    assert "its process was killed, twice" in killed_for_memory["reason"]
    assert "lower --nprocs" in killed_for_memory["hint"]
    assert float(done["seconds"]) > 0
    assert 0.1 < float(done["peak_gb"]) < 4

    for row in (corrupt, killed_for_memory):
        (line,) = (line for line in lines if line.startswith(f"{row['visit']} failed: "))
        assert row["reason"] in line
        assert row["crash_file"] in line
        crash = Path(row["crash_file"])
        assert crash.name == f"crash-{row['visit'].replace('-', '_')}.{row['node']}.txt"
        assert crash.read_text().splitlines()[0].rsplit(" (", 1)[0] in line
    assert len(list(out.glob("sub-04/ses-1/anat/*_desc-preproc_T1w.nii.gz"))) == 1
    assert len(list(out.glob("sub-01/ses-1/anat/*_desc-preproc_T1w.nii.gz"))) == 1  # the scan that is good

    assert status_command([str(out), "--labels"]) == 1
    assert capsys.readouterr().out == "01\n03\n"

    page = out / "sub-04_ses-1.html"
    page.unlink()
    again = subprocess.run([*map(str, words), "--dry-run"], capture_output=True, text=True, check=False)
    assert "sub-04_ses-1 done before" in " ".join(again.stdout.split())
    assert not page.exists()
    again = subprocess.run([*map(str, words), "--reports-only"], capture_output=True, text=True, check=False)
    assert again.stderr.splitlines()[-1] == "synthprep: 2 done, 2 skipped [exit 0]"
    assert "sub-04_ses-1_desc-preproc_T1w" in page.read_text()
    assert status_command([str(out), "--labels"]) == 1
    assert capsys.readouterr().out == "01\n03\n"
