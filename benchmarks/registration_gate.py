"""How often the verdict on a registration is wrong: good transforms moved by known amounts.

Every pair of a T1w and another contrast is registered once. Moved by less than 1 mm (mean over the brain) the
transform is still good, and a flag is a *false alarm*; moved by 3 to 40 mm it is broken, and no flag is a *miss*.

    python benchmarks/registration_gate.py DATASET [DATASET ...] [--cases 40] [--slab 0.6] [--jobs 2]

With `--slab` the scan is cropped to the middle of its brain along z before its own mask is found; the good
transform stays that of the whole scan, and the slab's own registration is compared with it.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

GOOD_MM = (0.0, 1.0)
BROKEN_MM = (3.0, 40.0)


def perturbed(similarity, transform, wanted_mm: float, random: np.random.Generator):
    """Return the transform moved by a random motion whose mean displacement of the brain is `wanted_mm`."""
    direction = random.normal(size=6)
    size = wanted_mm / np.linalg.norm(direction)
    for _ in range(20):
        moved = similarity.corrected(transform, size * direction)
        size *= wanted_mm / max(similarity.distance_mm(transform, moved), 1e-9)
    return moved


def prepared(image):
    """Return what registration reads of a checked scan."""
    from bidsapp.imaging.bias import correct_bias, estimate_bias_field
    from bidsapp.imaging.brain import find_brain
    from bidsapp.imaging.registration import Head

    mask = find_brain(image).mask
    return Head(correct_bias(image, estimate_bias_field(image, mask)), mask)


def cropped(image, mask, share: float):
    """Return the middle share of the brain's extent along the axis nearest to z."""
    from bidsapp.imaging.itk import like

    axis = int(np.abs(image.affine[2, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)).argmax())
    inside = np.flatnonzero(np.asarray(mask.dataobj).any(axis=tuple({0, 1, 2} - {axis})))
    low, high = (
        round(inside[0] + part * (inside[-1] + 1 - inside[0])) for part in (0.5 - share / 2, 0.5 + share / 2)
    )
    slab = image.slicer[tuple(slice(low, high) if a == axis else slice(None) for a in range(3))]
    return like(np.asarray(slab.dataobj), slab)  # its geometry in the precision of a header, as a file has it


def measure(fixed_path: Path, moving_path: Path, cases: int, seed: int, slab: float):
    """Return for each case the millimetres by which the transform was moved, and the alignment."""
    from bidsapp.imaging.alignment import assess_alignment
    from bidsapp.imaging.headers import check_image
    from bidsapp.imaging.registration import register
    from bidsapp.imaging.similarity import Similarity

    scan = check_image(moving_path).image
    fixed, moving = prepared(check_image(fixed_path).image), prepared(scan)
    good = register(fixed, moving)
    similarity = Similarity(fixed.image, moving.image, fixed.mask)
    if slab < 1:
        moving = prepared(cropped(scan, moving.mask, slab))
        apart = similarity.distance_mm(good, register(fixed, moving))
        print(f"{moving_path.name}: the slab's registration is {apart:.2f} mm from that of the whole", flush=True)
    random = np.random.default_rng(seed)
    rows = []
    for case in range(cases):
        broken = case % 2
        mm = float(np.exp(random.uniform(*np.log(BROKEN_MM)))) if broken else float(random.uniform(*GOOD_MM))
        moved = perturbed(similarity, good, mm, random)
        alignment = assess_alignment(fixed.image, moving.image, fixed.mask, moving.mask, moved)
        rows.append((bool(broken), mm, alignment))
    return rows


def main() -> None:
    """Print every wrong verdict, and the shares of false alarms and misses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--cases", type=int, default=40, help="per pair, half of them broken")
    parser.add_argument("--slab", type=float, default=1.0, help="share of the brain's height that is kept")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    pairs = [
        (fixed, moving)
        for dataset in args.datasets
        for fixed in sorted(dataset.glob("sub-*/**/anat/*_T1w.nii.gz"))
        for moving in (fixed.with_name(fixed.name.replace("_T1w", f"_{c}")) for c in ("FLAIR", "T2w"))
        if moving.exists()
    ]
    verdicts = {True: [], False: []}
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        running = [
            (moving, pool.submit(measure, fixed, moving, args.cases, seed, args.slab))
            for seed, (fixed, moving) in enumerate(pairs)
        ]
        for moving, job in running:
            for broken, mm, alignment in job.result():
                flagged = bool(alignment.flags)
                verdicts[broken].append(flagged)
                if flagged is not broken:
                    print(f"{moving.name}: moved {mm:.1f} mm: {alignment}", flush=True)
            residuals = [alignment.residual_mm for broken, _, alignment in job.result() if not broken]
            print(
                f"{moving.name}: residual of good ones, mean {np.mean(residuals):.2f}, max {max(residuals):.2f} mm"
            )
    print(f"cases {len(verdicts[True]) + len(verdicts[False])}")
    print(f"false alarms {np.mean(verdicts[False]):.1%} of {len(verdicts[False])}")
    print(f"misses {1 - np.mean(verdicts[True]):.1%} of {len(verdicts[True])}")


if __name__ == "__main__":
    main()
