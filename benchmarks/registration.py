"""Accuracy of the rigid registration, in millimetres in the brain: moved FLAIRs against known transforms.

Every FLAIR is moved by seeded rigid motions and registered to its T1w. *spread* is the mean distance between what
each registration, its motion undone, says and what the registration of the unmoved FLAIR says; *truth* is the mean
distance to the known transform, where there is one.

    python benchmarks/registration.py --bids DATASET [--truth FOLDER] [--phantom] [--motions 10] [--jobs 2]
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np

DEGREES = 30.0
MILLIMETRES = 30.0


def measure(fixed_path: Path, moving_path: Path, truth: np.ndarray | None, motions: int, seed: int):
    """Return per motion: spread, distance to the truth (mm), CPU seconds."""
    from bidsapp.imaging.bias import correct_bias, estimate_bias_field
    from bidsapp.imaging.brain import find_brain
    from bidsapp.imaging.headers import check_image
    from bidsapp.imaging.registration import Head, register
    from bidsapp.imaging.transforms import LinearTransform, mean_displacement
    from bidsapp.phantom.deformation import rigid

    heads = []
    for path in (fixed_path, moving_path):
        image = check_image(path).image
        mask = find_brain(image).mask
        heads.append(Head(correct_bias(image, estimate_bias_field(image, mask)), mask))
    fixed, moving = heads
    unmoved = register(fixed, moving)
    random = np.random.default_rng(seed)
    rows = []
    for number in range(motions + 1):
        motion = np.eye(4)
        if number:
            motion = rigid(random.uniform(-DEGREES, DEGREES, 3), random.uniform(-MILLIMETRES, MILLIMETRES, 3))
        start = time.process_time()
        moved = Head(
            *(nib.Nifti1Image(np.asarray(i.dataobj), motion @ i.affine) for i in (moving.image, moving.mask))
        )
        found = register(fixed, moved) if number else unmoved
        seconds = time.process_time() - start
        undone = LinearTransform(np.linalg.inv(motion) @ found.matrix)
        error = None if truth is None else mean_displacement(undone, LinearTransform(truth), fixed.mask)
        rows.append((mean_displacement(undone, unmoved, fixed.mask), error, seconds))
    return rows


def truth_of(args: argparse.Namespace, visit: str) -> np.ndarray | None:
    """Return the matrix from the T1w's points to the FLAIR's."""
    from bidsapp.imaging.transforms import read_itk
    from bidsapp.phantom.truth import read_truth

    if args.phantom:
        return read_truth(args.bids, visit, "FLAIR").motion
    files = list(args.truth.rglob(f"{visit}_from-T1w_to-FLAIR_mode-image_xfm.txt")) if args.truth else []
    return np.linalg.inv(read_itk(files[0]).matrix) if files else None  # the file maps FLAIR's points to the T1w's


def main() -> None:
    """Measure every visit that has both contrasts, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bids", type=Path, required=True)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--phantom", action="store_true")
    parser.add_argument("--motions", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    os.environ.update(
        {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "ANTS_RANDOM_SEED": "1"}
    )
    print("visit\tmotions\tspread mean\tspread max\ttruth mean\ttruth max\tCPU s each")
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        running = {}
        for fixed in sorted(args.bids.glob("sub-*/**/anat/*_T1w.nii.gz")):
            moving = fixed.with_name(fixed.name.replace("_T1w", "_FLAIR"))
            visit = fixed.name.removesuffix("_T1w.nii.gz")
            if moving.exists():
                job = pool.submit(measure, fixed, moving, truth_of(args, visit), args.motions, len(running))
                running[visit] = job
        for visit, job in running.items():
            spread, error, seconds = zip(*job.result()[1:], strict=True)
            known = [e for e in error if e is not None]
            truth = f"{np.mean(known):.3f}\t{max(known):.3f}" if known else "–\t–"
            print(
                f"{visit}\t{args.motions}\t{np.mean(spread):.3f}\t{max(spread):.3f}\t{truth}\t{np.mean(seconds):.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
