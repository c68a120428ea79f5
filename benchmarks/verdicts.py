"""What verdicts are worth: bad images that must not be trusted, clean ones that must.

Of a phantom cohort that the bundle's training did not know, every T1w is given as it is, and some are spoilt:
another contrast in its place, turned by 90° about each axis under the same header, blank, half the head; and
noise, bias fields, ghosts and thick slices, each in five severities. All go through both levels, as a user's
images would. A visit that the tool does not predict counts as never trusted.

    synthprep-phantom RAW --participants 20 --seed 2 --resolution 2 --contrasts T1w,T2w
    python benchmarks/verdicts.py RAW BUNDLE FOLDER --resolution 2 [--spoilt 2]

Thresholds are the bundle's, calibrated on its held-out training visits; nothing is fitted here.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

LABELS = ("trust", "caution", "reject", "not predicted")
SEVERITIES = {
    "noise": (0.05, 0.1, 0.2, 0.3, 0.5),  # standard deviation over the 95th percentile of the head
    "bias": (1.5, 2.0, 3.0, 5.0, 8.0),  # from one side of the head to the other, by this factor
    "ghost": (0.1, 0.2, 0.3, 0.4, 0.6),  # amplitude of a second head, half a field of view away
    "slices": (3.0, 4.0, 5.0, 6.0, 8.0),  # mm
}
BAD = ("t2w", "turnx", "turny", "turnz", "blank", "half")
FALSE_ALARMS = 1 / 20


def noise(data, affine, severity: float, random):
    """Add Rician noise."""
    sigma = severity * np.percentile(data[data > data.mean()], 95)
    real, imaginary = random.normal(0, sigma, (2, *data.shape))
    return np.hypot(data + real, imaginary), affine


def bias(data, affine, severity: float, random):
    """Multiply by a field that rises along a random direction."""
    direction = random.normal(size=3)
    along = np.tensordot(direction / np.linalg.norm(direction), np.indices(data.shape) / np.max(data.shape), 1)
    return data * severity ** ((along - along.mean()) / np.ptp(along)), affine


def ghost(data, affine, severity: float, _random):
    """Lay a second head over the image, shifted back or front, as every second line out of phase does."""
    return (1 - severity) * data + severity * np.roll(data, data.shape[1] // 2, axis=1), affine


def slices(data, affine, severity: float, _random):
    """Average over thick axial slices."""
    ratio = severity / np.linalg.norm(affine[:3, 2])
    fine = np.cumsum(np.concatenate([np.zeros((*data.shape[:2], 1)), data], axis=2), axis=2)
    edges = np.arange(int(data.shape[2] / ratio) + 1) * ratio
    inside = np.stack(
        [ndimage.map_coordinates(fine[x], _plane(fine.shape[1], edges), order=1) for x in range(len(fine))]
    )
    thick = affine @ np.diag([1, 1, ratio, 1])
    thick[:3, 3] += affine[:3, 2] * (ratio - 1) / 2
    return np.diff(inside, axis=2) / ratio, thick


def _plane(rows: int, edges):
    return np.stack(np.meshgrid(np.arange(rows), edges, indexing="ij"))


def bad_ones(t1w, t2w):
    """Yield name and image of what must never be trusted."""
    data, affine = np.asarray(t1w.dataobj, np.float32), t1w.affine
    # The T2w lies on its own grid, as it would if it were given by mistake.
    yield "t2w", nib.Nifti1Image(np.asarray(t2w.dataobj, np.float32), t2w.affine)
    for axis, name in enumerate("xyz"):
        plane = tuple({0, 1, 2} - {axis})
        yield f"turn{name}", nib.Nifti1Image(np.rot90(data, 1, plane), affine)
    yield "blank", nib.Nifti1Image(np.full_like(data, 100), affine)
    half = data.copy()
    half[: len(half) // 2] = 0
    yield "half", nib.Nifti1Image(half, affine)


def spoilt(t1w, seed):
    """Yield name and image of every degradation in severities 1 to 5, all of the same noise and direction."""
    data = np.asarray(t1w.dataobj, np.float64)
    for function in (noise, bias, ghost, slices):
        for number, severity in enumerate(SEVERITIES[function.__name__], start=1):
            worse, affine = function(data, t1w.affine, severity, np.random.default_rng(seed))
            yield f"{function.__name__}{number}", nib.Nifti1Image(worse.astype(np.float32), affine)


def write(root: Path, label: str, image) -> None:
    """Write an image as the T1w of a participant of its own."""
    path = root / f"sub-{label}" / "anat" / f"sub-{label}_T1w.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def build(raw: Path, root: Path, heads: int, seed: int) -> None:
    """Write the dataset of clean and bad images."""
    found = sorted(raw.glob("sub-*/ses-1/anat/*_T1w.nii.gz"))
    for number, path in enumerate(found):
        t1w = nib.load(path)
        write(root, f"clean{number:02d}", nib.Nifti1Image(np.asarray(t1w.dataobj, np.float32), t1w.affine))
        if number < heads:
            t2w = nib.load(path.with_name(path.name.replace("T1w", "T2w")))
            for name, image in (*bad_ones(t1w, t2w), *spoilt(t1w, [seed, number])):
                write(root, f"{name}h{number}", image)
    description = {"Name": "clean and bad images", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (root / "dataset_description.json").write_text(json.dumps(description))


def verdicts(out: Path) -> dict[str, tuple[str, float, str]]:
    """Return label → verdict, worst score and what was said first."""
    found = {}
    for path in out.glob("sub-*/anat/*_desc-synth_FLAIR.json"):
        verdict = json.loads(path.read_text())["Verdict"]
        name, score = max(verdict["Scores"].items(), key=lambda item: item[1], default=("", float("inf")))
        said = verdict["Reasons"][0] if verdict["Reasons"] else f"nearest to its limit: {name}"
        found[path.name.partition("_")[0].removeprefix("sub-")] = (verdict["Label"], score, said)
    return found


def report(found: dict[str, tuple[str, float, str]], labels: list[str]) -> bool:
    """Print the table and whether each bar holds; return whether all do."""
    rows = {label: found.get(label, ("not predicted", float("inf"), "")) for label in sorted(labels)}
    print("image\tverdict\tworst score\tfirst reason")
    for label, (verdict, score, said) in rows.items():
        print(f"{label}\t{verdict}\t{score:.2f}\t{said}")
    ranks = {label: LABELS.index(verdict) for label, (verdict, _, _) in rows.items()}
    bad = {label: rank for label, rank in ranks.items() if label.rpartition("h")[0] in BAD}
    trusted = [label for label, rank in bad.items() if rank == 0]
    flagged = [label for label, rank in ranks.items() if label.startswith("clean") and rank > 0]
    clean = sum(label.startswith("clean") for label in ranks)
    heads = sorted({label.rpartition("h")[2] for label in ranks if not label.startswith("clean")})
    better = []
    for head in heads:
        for kind in SEVERITIES:
            row = [ranks[f"{kind}{n}h{head}"] for n in range(1, 6)]
            print(f"{kind}, head {head}\t" + " ".join(LABELS[rank] for rank in row))
            better += [f"{kind}h{head}"] if row != sorted(row) or row[-1] == row[0] == 0 else []
    print(f"never trusted: {len(bad) - len(trusted)} of {len(bad)} bad images; trusted: {trusted or 'none'}")
    print(f"verdict worsens with severity, and does worsen: fails for {better or 'none'}")
    print(f"clean and flagged: {len(flagged)} of {clean}: {flagged or 'none'}")
    return not trusted and not better and len(flagged) <= FALSE_ALARMS * clean


def main() -> None:
    """Build, run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, help="phantoms with T1w and T2w, of a seed that nothing was tuned on")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path, help="for the images and derivatives; those that are there are used")
    parser.add_argument("--resolution", default="2")
    parser.add_argument("--spoilt", type=int, default=1, help="how many heads are spoilt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nprocs", default="2")
    args = parser.parse_args()
    root, out = args.folder / "raw", args.folder / "out"
    if not root.exists():
        build(args.raw, root, args.spoilt, args.seed)
    words = ["--source", "T1w", "--target", "FLAIR", "--resolution", args.resolution, "--model", str(args.bundle)]
    words += ["--nprocs", args.nprocs, "--skip-bids-validation"]
    for level in ("participant", "group"):
        subprocess.run([sys.executable, "-m", "bidsapp", str(root), str(out), level, *words], check=False)
    labels = [path.name.removeprefix("sub-") for path in root.glob("sub-*")]
    sys.exit(0 if report(verdicts(out), labels) else 1)


if __name__ == "__main__":
    main()
