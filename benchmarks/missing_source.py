"""What it costs to have learned to do without a source: one network for all cases against one for each.

Networks of equal steps learn from the first source alone, from the second alone, and from both with some taken
away (``--allow-missing-source``). The last is measured on held-out participants without either and with both; the
bar is an error at most 5 % above that of the network which knows the one source only.

    synthprep-phantom RAW --participants 8 --resolution 2 --contrasts T1w,T2w,FLAIR
    synthprep RAW DERIVATIVES participant --source T1w,T2w --target FLAIR --resolution 2
    python benchmarks/missing_source.py DERIVATIVES [--max-steps 1500] [--seeds 0 1]
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path
from statistics import fmean

BAR = 1.05


def main() -> None:
    """Train, measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("derivatives", type=Path)
    parser.add_argument("--source", default="T1w,T2w")
    parser.add_argument("--target", default="FLAIR")
    parser.add_argument("--max-steps", type=int, default=1500)
    parser.add_argument("--folds", type=int, default=2, help="how many of the folds to train")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()

    import torch

    from bidsapp.bids.gather import gather
    from bidsapp.synthesis.folds import make_folds

    torch.set_num_threads(1)
    sources = tuple(args.source.split(","))
    found = gather(args.derivatives, sources, args.target, sources[0])
    pairs = [visit.pair for visit in found.visits if visit.pair.target]
    print("fold\tseed\tsources\talone\tone network\tratio", flush=True)
    ratios: dict[str, list[float]] = {}
    for seed in args.seeds:
        for fold in make_folds(pairs, leave_one_out=False, seed=0)[: args.folds]:
            parts = [[p for p in pairs if (p.participant in fold.held_out) == out] for out in (False, True)]
            alone = {k: errors(*parts, sources, args, seed, [(k,)])[0] for k in range(len(sources))}
            cases = [*((k,) for k in alone), tuple(alone)]
            for case, error in zip(cases, errors(*parts, sources, args, seed, cases, True), strict=True):
                best = alone[case[0]] if len(case) == 1 else min(alone.values())
                name = "+".join(sources[k] for k in case)
                ratios.setdefault(name, []).append(error / best)
                row = f"{fold.number}\t{seed}\t{name}\t{best:.4f}\t{error:.4f}\t{error / best:.3f}"
                print(row, flush=True)
    for name, values in ratios.items():
        held = "" if "+" in name else "\tholds" if fmean(values) <= BAR else "\tfails"
        print(f"mean\t\t{name}\t\t\t{fmean(values):.3f}{held}")


def errors(learned, held_out, sources, args: argparse.Namespace, seed: int, cases, may_miss=False) -> list[float]:
    """Return the mean error in each case, a tuple of the places of the sources that are there.

    A network that is to know all cases reads all sources, one of a single case reads that one's.
    """
    from bidsapp.synthesis.ensemble import stored_pairs
    from bidsapp.synthesis.evaluation import measure
    from bidsapp.synthesis.inference import predict
    from bidsapp.synthesis.pairs import load_volume
    from bidsapp.synthesis.plan import make_plan
    from bidsapp.synthesis.training import make_fabric, train

    fabric = make_fabric("cpu")
    read = range(len(sources)) if may_miss else cases[0]
    plan = make_plan(
        "unet",
        [sources[k] for k in read],
        args.target,
        minutes=600,
        max_steps=args.max_steps,
        precision=str(fabric._precision.precision),
        seed=seed,
        sources_may_miss=may_miss,
    )

    def given(pair, case):
        return dataclasses.replace(pair, sources=tuple(pair.sources[k] if k in case else None for k in read))

    training = [given(pair, read) for pair in learned]
    with (
        tempfile.TemporaryDirectory() as folder,
        stored_pairs(training, plan.features, Path(folder), presence=may_miss) as (stored, _),
    ):
        network = train(list(stored.values()), plan, fabric).network
    results = []
    for case in cases:
        volumes = [load_volume(given(pair, case), plan.features, presence=may_miss) for pair in held_out]
        results.append(fmean(measure(v, predict([network], v, plan, fabric).image, plan).mae for v in volumes))
    return results


if __name__ == "__main__":
    main()
