"""Accuracy for a given amount of computing: every size of the U-Net, the article's network and the intensity map.

Each is trained on the same visits of a derivative dataset for the same CPU seconds on one thread, and measured on
the participants held out. CPU seconds, not minutes, so that what else the computer does changes nothing.

    python benchmarks/synthesis.py DERIVATIVES --hold-out sub-12 [--cpu-seconds 200]
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from statistics import fmean


def candidates(args: argparse.Namespace):
    """Return name → plan."""
    from bidsapp.synthesis.plan import BASELINE, make_plan
    from bidsapp.synthesis.sizing import SIZES

    def plan(network: str):
        return make_plan(
            network,
            [args.source],
            args.target,
            minutes=args.cpu_seconds / 60,
            max_steps=None,
            precision=args.precision,
            seed=args.seed,
        )

    sizes = [dataclasses.replace(plan("unet"), channels=c, patch=(p, p, p)) for c, p in SIZES["unet"]]
    return {f"{p.network} {'-'.join(map(str, p.channels))} on {p.patch[0]}": p for p in (*sizes, plan(BASELINE))}


def main() -> None:
    """Train, measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("derivatives", type=Path)
    parser.add_argument("--hold-out", nargs="+", required=True)
    parser.add_argument("--cpu-seconds", type=float, default=200)
    parser.add_argument("--source", default="T1w")
    parser.add_argument("--target", default="FLAIR")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    import torch

    from bidsapp.bids.gather import gather
    from bidsapp.synthesis.baselines import fit_floor, predict_floor
    from bidsapp.synthesis.ensemble import stored_pairs
    from bidsapp.synthesis.inference import predict
    from bidsapp.synthesis.metrics import agreement
    from bidsapp.synthesis.pairs import load_volume
    from bidsapp.synthesis.plan import features_of
    from bidsapp.synthesis.training import make_fabric, train

    torch.set_num_threads(1)
    fabric = make_fabric("cpu", args.precision)
    pairs = [v.pair for v in gather(args.derivatives, (args.source,), args.target, args.source).visits]
    held_out = [p for p in pairs if p.target and p.participant in args.hold_out]
    learned = [p for p in pairs if p.participant not in args.hold_out]

    def show(name: str, steps: int, results) -> None:
        print(
            f"{name}\t{steps}\t{fmean(r.mae for r in results):.4f}\t{fmean(r.ssim for r in results):.3f}",
            flush=True,
        )

    print("network\tsteps\tmasked MAE\tSSIM")
    with (
        tempfile.TemporaryDirectory() as folder,
        stored_pairs(learned, features_of("unet"), Path(folder)) as (stored, _),
    ):
        training = list(stored.values())
        volumes = [load_volume(pair, features_of("unet")) for pair in held_out]
        floor = fit_floor(training, 1, args.seed)
        images = [predict_floor(floor, volume, 1) for volume in volumes]
        show(
            "intensity map", 0, [agreement(i, v.target, v.loss_mask) for i, v in zip(images, volumes, strict=True)]
        )
        for name, plan in candidates(args).items():
            trained = train(training, plan, fabric, clock=time.process_time)
            images = [predict([trained.network], volume, plan, fabric).image for volume in volumes]
            results = [agreement(i, v.target, v.loss_mask) for i, v in zip(images, volumes, strict=True)]
            show(name, trained.steps, results)


if __name__ == "__main__":
    main()
