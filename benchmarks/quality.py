"""Quality at equal minutes: our network beside the article's and nnU-Net's recipe for translation.

Every participant of a derivative dataset is held out once. Each network is trained on the others for the same time
and with the same threads, and predicts the visits of the one held out. Ours are sized to the minutes as by the
command. ``nnunet-l1`` and ``nnunet-mse`` follow the trainers ``MRCT_mae`` and ``MRCT_mse`` of
github.com/Phyrise/nnUNet_translation with what the registry has: a plain U-Net (DynUNet) without deep supervision,
which reads patches of the images alone, unvaried, and is trained by L1 or the squared error. They differ in
batch for instance normalization, AdamW on one cycle for SGD, and patches of 48 for 128 voxels; the originals
make 250,000 steps.

    python benchmarks/quality.py DERIVATIVES [--minutes 1 3 10] [--networks unet seed-resnet] [--tsv FILE]
"""

import argparse
import csv
import dataclasses
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import fmean

OURS = "unet"
# Network of the registry and what differs from its recipe.
RIVALS = {
    "seed-resnet": ("seed-resnet", {}),
    "nnunet-l1": ("dynunet", {"features": (), "augmentation": "none", "loss": "l1"}),
    "nnunet-mse": ("dynunet", {"features": (), "augmentation": "none", "loss": "mse"}),
}
FLOOR = "floor"
SHOWN = ("mae", "ssim")


def plan_of(name: str, minutes: float, args, fabric, clock):
    """Return the plan of a candidate, sized to its minutes where the command would."""
    from bidsapp.synthesis.plan import make_plan
    from bidsapp.synthesis.sizing import size_to_minutes
    from bidsapp.synthesis.training import seconds_per_step

    network, changes = RIVALS.get(name, (name, {}))
    precision = str(fabric._precision.precision)
    about = {"minutes": minutes, "max_steps": None, "precision": precision, "seed": args.seed}
    plan = dataclasses.replace(make_plan(network, args.source.split(","), args.target, **about), **changes)
    return size_to_minutes(plan, fabric, partial(seconds_per_step, clock=clock))


def measured(args):
    """Yield one row for each visit, network and budget."""
    import torch

    from bidsapp.bids.gather import gather
    from bidsapp.synthesis.baselines import fit_floor, predict_floor
    from bidsapp.synthesis.ensemble import stored_pairs
    from bidsapp.synthesis.evaluation import measure
    from bidsapp.synthesis.folds import make_folds
    from bidsapp.synthesis.inference import predict
    from bidsapp.synthesis.pairs import load_volume
    from bidsapp.synthesis.plan import FEATURES
    from bidsapp.synthesis.training import make_fabric, train

    torch.set_num_threads(args.threads)
    fabric = make_fabric("cpu", args.precision)
    clock = time.process_time if args.cpu_seconds else time.monotonic
    sources = args.source.split(",")
    gathered = gather(args.derivatives, sources, args.target, args.reference)
    pairs = [visit.pair for visit in gathered.visits if visit.pair.target]

    def rows(name: str, minutes: float, steps: int, plan, images):
        for volume, image in images:
            about = {"visit": volume.pair.visit, "participant": volume.pair.participant}
            result = measure(volume, image, plan).to_json()
            yield {**about, "network": name, "minutes": minutes, "steps": steps, **result}

    with tempfile.TemporaryDirectory() as folder, stored_pairs(pairs, FEATURES, Path(folder)) as (stored, _):
        for fold in make_folds(pairs, leave_one_out=True, seed=args.seed)[: args.folds]:
            learned = [volume for pair, volume in stored.items() if pair.participant not in fold.held_out]
            held_out = [load_volume(pair, FEATURES) for pair in stored if pair.participant in fold.held_out]
            floor = fit_floor(learned, len(sources), args.seed)
            guesses = [(volume, predict_floor(floor, volume, len(sources))) for volume in held_out]
            for minutes in args.minutes:
                plans = {name: plan_of(name, minutes, args, fabric, clock) for name in args.networks}
                yield from rows(FLOOR, minutes, 0, next(iter(plans.values())), guesses)
                for name, plan in plans.items():
                    trained = train(learned, plan, fabric, clock=clock)
                    images = [
                        (volume, predict([trained.network], volume, plan, fabric).image) for volume in held_out
                    ]
                    yield from rows(name, minutes, trained.steps, plan, images)


def show(rows, networks) -> None:
    """Print a table for each budget: participants, their mean, and the ratio of the first network's to each."""
    for minutes in dict.fromkeys(row["minutes"] for row in rows):
        for measure in SHOWN:
            values = {}
            for row in rows:
                if row["minutes"] == minutes and row[measure] is not None:
                    values.setdefault((row["participant"], row["network"]), []).append(row[measure])
            people = sorted({participant for participant, _ in values})
            table = {p: [fmean(values[p, name]) for name in networks] for p in people}
            table["mean"] = [fmean(column) for column in zip(*table.values(), strict=True)]
            table[f"{networks[0]} / it"] = [table["mean"][0] / mean for mean in table["mean"]]
            print(f"\n{measure}, {minutes:g} minutes\t" + "\t".join(networks))
            for label, numbers in table.items():
                print(f"{label:20}\t" + "\t".join(f"{number:.4f}" for number in numbers), flush=True)


def main() -> None:
    """Train, measure, write every row as soon as it is known, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("derivatives", type=Path)
    parser.add_argument("--minutes", nargs="+", type=float, default=[1, 3, 10], help="of each training")
    parser.add_argument("--cpu-seconds", action="store_true", help="count minutes of CPU time")
    parser.add_argument(
        "--networks", nargs="+", default=[OURS, *RIVALS], help="others are compared with the first"
    )
    parser.add_argument("--folds", type=int, help="only the first so many")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source", default="T1w", help="T1w[,T2w]")
    parser.add_argument("--target", default="FLAIR")
    parser.add_argument("--reference", default="T1w")
    parser.add_argument("--precision", help="bf16-mixed or 32-true; by default what the processor is fast at")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tsv", type=Path, default=Path("quality.tsv"), help="where the rows are written")
    args = parser.parse_args()
    rows = []
    with args.tsv.open("w", encoding="utf-8", newline="") as file:
        for row in measured(args):
            table = csv.DictWriter(file, list(row), delimiter="\t", lineterminator="\n")
            if not rows:
                table.writeheader()
            table.writerow(row)
            file.flush()
            rows.append(row)
    show(rows, [*args.networks, FLOOR])


if __name__ == "__main__":
    main()
