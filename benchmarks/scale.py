"""A thousand participants: how long a run takes to start, what it holds in memory, and what each visit costs.

*Start*: from the command to the first steps being ready, with one participant asked for and with all, each in
a process of its own; the images are empty files, since selecting reads none. *Gather*: the group level's look
at fabricated derivatives. *Run*: participants whose images are all broken, so that a run is nothing but what
this program does around the steps. *Cost*: CPU seconds of the participant level, children included, on 1, 4 and
16 visits of a simulated cohort; a run costs a fixed part and a share for each visit, and the share is to be the
same.

    python benchmarks/scale.py FOLDER [--participants 1000] [--sizes 50 200] [--visits 1 4 16]
"""

import argparse
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

ADOPT_ORPHANS = 36  # Linux's PR_SET_CHILD_SUBREAPER: without it, the CPU time of Nipype's workers is nobody's
START = """
import json, resource, sys, time
from bidsapp.cli.parser import settings_from
from bidsapp.bids.select import select
settings = settings_from(sys.argv[2:])
selection = select(settings)
from bidsapp import participant
from bidsapp.resources import granted
from bidsapp.workflows.plugins import read_plugin
first = next(participant._portions(selection.visits, granted(), read_plugin(None)))
workflow = participant.init_run_wf(settings, first, granted().memory_gb)
workflow._create_flat_graph()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(json.dumps({"seconds": time.time() - float(sys.argv[1]), "cpu": time.process_time(), "peak_mb": peak}))
"""
RUN = """
import resource, sys
from bidsapp.cli.main import main
main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""
GATHER = """
import json, resource, sys, time
from pathlib import Path
from bidsapp.bids.gather import gather
start = time.time()
found = gather(Path(sys.argv[1]), ("T1w",), "FLAIR", "T1w")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(json.dumps({"visits": len(found.visits), "seconds": time.time() - start, "peak_mb": peak}))
"""


def fabricate(raw: Path, participants: int) -> Path:
    """Write a dataset of empty images, a T1w and a FLAIR for each participant."""
    raw.mkdir(parents=True)
    (raw / "dataset_description.json").write_text('{"Name": "fabricated", "BIDSVersion": "1.10.0"}')
    for number in range(1, participants + 1):
        folder = raw / f"sub-{number:04d}/anat"
        folder.mkdir(parents=True)
        for contrast in ("T1w", "FLAIR"):
            for end in (".nii.gz", ".json"):
                (folder / f"sub-{number:04d}_{contrast}{end}").touch()
    return raw


def fabricate_derivatives(out: Path, participants: int) -> Path:
    """Write what the group level looks at before it reads an image: tables, sidecars, headers of masks."""
    import nibabel as nib
    import numpy as np

    from bidsapp.bids.dataset import SCANS_COLUMNS
    from bidsapp.bids.sink import write_json, write_tsv

    image = gzip.compress(nib.Nifti1Image(np.ones((8, 8, 8), np.uint8), np.eye(4)).to_bytes())
    scale = {"IntensityScale": {"Method": "robust", "Offset": 1.0, "Scale": 2.0}}
    for number in range(1, participants + 1):
        folder = out / f"sub-{number:04d}/anat"
        folder.mkdir(parents=True)
        rows = []
        for contrast, space in (("T1w", ""), ("FLAIR", "space-T1w_")):
            stem = f"sub-{number:04d}_{space}"
            for desc in (f"desc-preproc_{contrast}", f"desc-normalized_{contrast}"):
                (folder / f"{stem}{desc}.nii.gz").write_bytes(image)
                write_json({**scale, "SourceSHA256": f"{number}{contrast}"}, folder / f"{stem}{desc}.json")
            mask = "desc-brain_mask" if contrast == "T1w" else f"space-T1w_desc-brain{contrast}_mask"
            (folder / f"sub-{number:04d}_{mask}.nii.gz").write_bytes(image)
            rows.append({"filename": f"anat/{stem}desc-preproc_{contrast}.nii.gz", "contrast": contrast})
        write_tsv(rows, folder.parent / f"sub-{number:04d}_scans.tsv", ["filename", *SCANS_COLUMNS])
    return out


def said(script: str, *words: object) -> str:
    """Return the last line that a script says, run in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.strip().splitlines()[-1]


def starts(folder: Path, participants: int) -> None:
    """Print the time to the first step, for one participant and for all."""
    raw = fabricate(folder / "raw", participants)
    for name, words in (("one", ["--participant-label", "0001"]), ("all", [])):
        found = json.loads(said(START, time.time(), raw, folder / "out", "participant", *words))
        spent = f"{found['seconds']:.1f} s, {found['cpu']:.1f} CPU s"
        print(f"start, {name} of {participants}: {spent}, {found['peak_mb']:.0f} MB", flush=True)


def runs(folder: Path, sizes: list[int]) -> None:
    """Print time and peak memory of the process that runs a graph, for datasets of several sizes."""
    for size in sizes:
        raw = fabricate(folder / f"raw-{size}", size)
        start = time.time()
        peak = float(said(RUN, raw, folder / f"out-{size}", "participant", "--nprocs", 2))
        print(f"run, {size} participants without an image: {time.time() - start:.0f} s, {peak:.0f} MB", flush=True)


def gathers(folder: Path, participants: int) -> None:
    """Print time and peak memory of the group level's look at the derivatives."""
    found = json.loads(said(GATHER, fabricate_derivatives(folder / "derivatives", participants)))
    print(f"gather, {found['visits']} visits: {found['seconds']:.1f} s, {found['peak_mb']:.0f} MB", flush=True)


def costs(folder: Path, visits: list[int]) -> None:
    """Print the CPU seconds of the participant level by the number of visits, and of each further visit."""
    from bidsapp.phantom.cohort import simulate_cohort

    adopt_orphans()
    raw = folder / "phantom"
    simulate_cohort(raw, participants=max(visits), resolution=2.0, complete=True)
    for second in raw.glob("sub-*/ses-2"):
        shutil.rmtree(second)
    spent = []
    for number in visits:
        labels = [f"{label:02d}" for label in range(1, number + 1)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = [raw, folder / f"phantom-{number}", "participant", "--sloppy", "--resolution", 4, "--nprocs", 1]
        said(RUN, *words, "--participant-label", *labels)
        reap()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        print(f"cost, {number} visits: {spent[-1]:.1f} CPU s", flush=True)
    shares = [(spent[i] - spent[i - 1]) / (visits[i] - visits[i - 1]) for i in range(1, len(visits))]
    print("each further visit:", ", ".join(f"{share:.2f}" for share in shares), "CPU s", flush=True)


def adopt_orphans() -> None:
    """Become the parent of workers whose own parent ended, so that their CPU time is counted."""
    import ctypes

    ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)


def reap() -> None:
    """Wait for adopted workers."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="is made, and holds what is fabricated")
    parser.add_argument("--participants", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[50, 200])
    parser.add_argument("--visits", type=int, nargs="*", default=[1, 4, 16])
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    args.folder.mkdir(parents=True)
    starts(args.folder, args.participants)
    gathers(args.folder, args.participants)
    runs(args.folder, args.sizes)
    if args.visits:
        costs(args.folder, args.visits)


if __name__ == "__main__":
    main()
