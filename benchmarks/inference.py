"""Seconds and memory of a prediction: ours beside MONAI's `sliding_window_inference` at its defaults in float32.

The same network with the same weights predicts the same head, in turns and in one run. MONAI gets the whole image
in windows of 96 voxels (a quarter overlapping, even weights), and, second, the box of the brain that ours gets.
Differences are from the box in one float32 window, inside the brain.
Peak memory is that of a process of its own, PyTorch and the volume included, and is read before and after.

    python benchmarks/inference.py [--network unet] [--turns 3] [--threads 2]
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HEAD = (182, 218, 182)  # 1 mm, as MNI's templates are
BRAIN = (140, 174, 146)
WINDOW = 96
STEPS = 150
TRUTH = "one window, float32"


def head(shape, brain):
    """Return a volume of smooth blobs in an ellipsoid, with features as every prediction has them."""
    import nibabel as nib
    import numpy as np
    from scipy import ndimage

    from bidsapp.records import Pair
    from bidsapp.synthesis.pairs import load_volume
    from bidsapp.synthesis.plan import FEATURES

    axes = np.ogrid[tuple(slice(-(n - 1) / 2, n / 2) for n in shape)]
    mask = sum((2 * a / n) ** 2 for a, n in zip(axes, brain, strict=True)) < 1
    source = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape).astype(np.float32), 1)
    target = -ndimage.gaussian_filter(source, 1.5)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{name}.nii") for name in ("source", "target", "mask")]
        images = (source / source.std(), target / target.std(), mask.astype(np.uint8))
        for path, image in zip(paths, images, strict=True):
            nib.save(nib.Nifti1Image(image, np.eye(4)), path)
        source, target, mask = paths
        pair = Pair("sub-01", "sub-01", (source,), mask, target, mask, None, "0" * 64)
        return load_volume(pair, FEATURES)


def methods(volume, args):
    """Return name → function that predicts the volume's box, after a short training."""
    import numpy as np
    import torch
    from monai.inferers import sliding_window_inference

    from bidsapp.synthesis.inference import predict
    from bidsapp.synthesis.plan import FEATURES, make_plan
    from bidsapp.synthesis.sampling import TrainingVolume
    from bidsapp.synthesis.training import make_fabric, train

    torch.set_num_threads(args.threads)
    fabric = make_fabric("cpu", args.precision)
    precision = str(fabric._precision.precision)
    plan = make_plan(args.network, ["T1w"], "FLAIR", minutes=9, max_steps=STEPS, precision=precision, seed=0)
    plan = dataclasses.replace(plan, features=FEATURES, flip_averaging=False)
    with tempfile.TemporaryDirectory() as folder:
        trained = train([TrainingVolume.store(volume, Path(folder))], plan, fabric)
    whole = np.zeros((1, len(volume.inputs), *volume.shape), np.float32)
    whole[0, :, *volume.box] = volume.inputs
    boxed = volume.inputs[None]
    flipped = dataclasses.replace(plan, flip_averaging=True)

    def monai(inputs, window=WINDOW):
        with torch.inference_mode():
            return sliding_window_inference(torch.from_numpy(inputs), window, 1, trained.network)[0, 0].numpy()

    return {
        "ours": lambda: predict([trained.network], volume, plan, fabric).image,
        "ours, flip averaging": lambda: predict([trained.network], volume, flipped, fabric).image,
        "MONAI, image": lambda: monai(whole)[volume.box],
        "MONAI, brain's box": lambda: monai(boxed),
        TRUTH: lambda: monai(boxed, boxed.shape[2:]),
    }


def measure(args) -> None:
    """Print seconds and differences, in turns."""
    import numpy as np

    volume = head(HEAD, BRAIN)
    seconds, images = {}, {}
    running = methods(volume, args)
    for _ in range(args.turns):
        for name, predicts in running.items():
            start = time.perf_counter()
            images[name] = predicts()
            seconds.setdefault(name, []).append(time.perf_counter() - start)
    truth = images[TRUTH][volume.mask]
    for name, image in images.items():
        error = np.abs(image[volume.mask] - truth) / np.ptp(truth)
        times = median(seconds["MONAI, image"]) / median(seconds[name])
        print(
            f"{name:22} {median(seconds[name]):6.2f} s  {times:5.2f} ×   difference in shares of the range: "
            f"largest {error.max():.4f}, 99.9 % below {np.quantile(error, 0.999):.4f}"
        )


def memory(args, shape, brain) -> dict[str, float]:
    """Return the peak memory in GB before and after a prediction; for a process of its own."""
    volume = head(shape, brain)
    predicts = methods(volume, args)["ours"]
    before = peak()
    predicts()
    return {"before": before, "peak": peak()}


def peak() -> float:
    """Return the most memory that this process has held, GB; `resource` would count what its parent held."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20


def main() -> None:
    """Measure time, then memory in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="unet")
    parser.add_argument("--precision", help="bf16-mixed or 32-true; by default what the processor is fast at")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-of", type=int, metavar="EDGE", help="only the peak memory of a cube of brain")
    args = parser.parse_args()
    if args.memory_of:
        edge = args.memory_of
        print(json.dumps(memory(args, (edge,) * 3, (2 * edge,) * 3)))  # all of the image is brain
        return
    measure(args)
    for edge in (160, 256):
        words = [sys.executable, __file__, *sys.argv[1:], "--memory-of", str(edge)]
        out = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        print(f"{edge}³ of brain: peak {out['peak']:.2f} GB ({out['before']:.2f} GB before predicting)")


if __name__ == "__main__":
    main()
