"""Training throughput in Mvoxel/s of patches: our loop beside a plain float32 loop of MONAI, in turns.

Both train the same network on the same simulated heads, with patches of the same size around voxels of the brain.
Ours is `bidsapp.synthesis.training.train`, as the command runs it. The plain loop is what MONAI's tutorials show:
`CacheDataset`, `RandCropByPosNegLabeld`, `RandFlipd`, `DataLoader`, AdamW and the L1 loss, in float32.
The other lines are optimizer steps alone on one batch: no way of feeding them could be faster. CPU time is that of
all threads, and changes little with what else the computer does.

    python benchmarks/training.py [--network unet] [--threads 2] [--turns 5] [--steps 30]
"""

import argparse
import dataclasses
import time
from statistics import median

from inference import BRAIN, HEAD, head

CLOCKS = {"wall": time.perf_counter, "CPU": time.process_time}
WARM_UP = 3


def timed(steps: int, step) -> dict[str, float]:
    """Return seconds for each step, by each clock; the first few do not count."""
    for _ in range(WARM_UP):
        step()
    start = {name: clock() for name, clock in CLOCKS.items()}
    for _ in range(steps):
        step()
    return {name: (clock() - start[name]) / steps for name, clock in CLOCKS.items()}


def ours(volumes, plan, precision, steps: int):
    """Return a function that trains, and gives seconds for each step."""
    from bidsapp.synthesis.sampling import TrainingVolume
    from bidsapp.synthesis.training import make_fabric, train

    stored = [TrainingVolume.hold(volume) for volume in volumes]
    fabric = make_fabric("cpu", precision)

    def run() -> dict[str, float]:
        ticks = []
        longer = dataclasses.replace(plan, max_steps=WARM_UP + steps)
        train(stored, longer, fabric, lambda _: ticks.append({name: clock() for name, clock in CLOCKS.items()}))
        return {name: (ticks[-1][name] - ticks[WARM_UP - 1][name]) / steps for name in CLOCKS}

    return run


def plain(volumes, plan, steps: int):
    """Return the same for the plain loop."""
    import torch
    from monai.data import CacheDataset, DataLoader
    from monai.transforms import Compose, RandCropByPosNegLabeld, RandFlipd

    from bidsapp.synthesis.networks import build_network

    items = [{"image": v.inputs, "target": v.target[None], "mask": v.loss_mask[None]} for v in volumes]
    keys = ["image", "target"]
    edge = plan.patch
    crop = RandCropByPosNegLabeld(keys, "mask", edge, pos=1, neg=0, num_samples=plan.batch)
    dataset = CacheDataset(items, Compose([crop, RandFlipd(keys, prob=0.5, spatial_axis=0)]), progress=False)
    network = build_network(plan.network, plan.inputs, plan.channels, 0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss = torch.nn.L1Loss()

    def batches():
        while True:
            yield from DataLoader(dataset, batch_size=1, shuffle=True)

    drawn = batches()

    def step() -> None:
        batch = next(drawn)
        optimizer.zero_grad()
        loss(network(batch["image"].as_tensor()), batch["target"].as_tensor()).backward()
        optimizer.step()

    return lambda: timed(steps, step)


def steps_alone(plan, precision, steps: int):
    """Return the same for optimizer steps of ours on one batch."""
    import torch

    from bidsapp.synthesis.run import set_up, take_step
    from bidsapp.synthesis.sampling import Batch
    from bidsapp.synthesis.training import make_fabric

    fabric = make_fabric("cpu", precision)
    network, optimizers = set_up(plan, fabric)
    edge = plan.patch
    inputs = torch.rand(plan.batch, plan.inputs, *edge).contiguous(memory_format=torch.channels_last_3d)
    batch = Batch(inputs, torch.rand(plan.batch, 1, *edge), torch.ones(plan.batch, 1, *edge), 0)
    return lambda: timed(steps, lambda: take_step(network, optimizers, batch, plan, fabric))


def main() -> None:
    """Take turns, and print medians and their ratio to the plain loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="unet")
    parser.add_argument("--channels", help="of each level, 16,32,64; by default the recipe's")
    parser.add_argument("--patch", type=int, help="edge, voxels; by default the recipe's")
    parser.add_argument("--batch", type=int, help="by default the recipe's")
    parser.add_argument("--precision", help="of ours; by default what the processor is fast at")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()

    import torch

    from bidsapp.synthesis.modes import voxels_per_step
    from bidsapp.synthesis.plan import FEATURES, make_plan
    from bidsapp.synthesis.training import best_precision

    torch.set_num_threads(args.threads)
    precision = args.precision or best_precision("cpu")
    plan = make_plan(args.network, ["T1w"], "FLAIR", minutes=60, max_steps=args.steps, precision=precision, seed=0)
    asked = {"channels": args.channels and tuple(map(int, args.channels.split(",")))}
    asked |= {"patch": args.patch, "batch": args.batch, "features": FEATURES}
    plan = dataclasses.replace(plan, **{name: value for name, value in asked.items() if value})
    volumes = [head(HEAD, BRAIN) for _ in range(2)]
    running = {
        "plain MONAI": plain(volumes, plan, args.steps),
        "ours": ours(volumes, plan, precision, args.steps),
        f"steps alone, {precision}": steps_alone(plan, precision, args.steps),
        "steps alone, 32-true": steps_alone(plan, "32-true", args.steps),
    }
    seconds = {name: {clock: [] for clock in CLOCKS} for name in running}
    for _ in range(args.turns):
        for name, run in running.items():
            for clock, value in run().items():
                seconds[name][clock].append(value)
    print(f"{plan.network} {plan.channels}, {plan.batch} patches of {plan.patch[0]}³, {args.threads} thread(s)")
    voxels = voxels_per_step(plan) / 1e6
    for name, by_clock in seconds.items():
        for clock, values in by_clock.items():
            # Turn by turn, so that what slows the computer for a while slows both.
            ratios = [them / us for them, us in zip(seconds["plain MONAI"][clock], values, strict=True)]
            speed = f"{1e3 * median(values):7.1f} ms a step, {voxels / median(values):6.3f} Mvoxel/s"
            print(f"{name:24} {clock:4} {speed}, {median(ratios):5.2f} × ({min(ratios):.2f}–{max(ratios):.2f})")


if __name__ == "__main__":
    main()
