"""A bundle small enough to write in every test."""

from pathlib import Path

from bidsapp.scales import IntensityScale
from bidsapp.synthesis.bundle import Bundle, write_bundle
from bidsapp.synthesis.manifest import Images, read_manifest, write_manifest
from bidsapp.synthesis.plan import make_plan
from bidsapp.synthesis.seal import file_sha256
from bidsapp.synthesis.splits import Split
from bidsapp.synthesis.uncertainty import RANKS, Calibration, Residuals
from bidsapp.synthesis.weights import network_of

IMAGES = Images("robust", "T1w", {"T1w": "robust", "FLAIR": "robust"}, ((2.0,) * 3,) * 2)
METRICS = """visit\tfold\tnetwork\tsteps\tmae\tssim\tsharpness
sub-01_ses-A\t0\tseed-resnet\t9\t0.5\t0.6\t0.9
sub-01_ses-B\t0\tseed-resnet\t9\t0.3\t0.6\t0.9
sub-02\t1\tseed-resnet\t9\t0.6\t0.5\tn/a
sub-01_ses-A\t0\tfloor\t0\t0.6\t0.4\t0.7
sub-01_ses-B\t0\tfloor\t0\t0.6\t0.4\t0.7
sub-02\t1\tfloor\t0\t0.5\t0.4\t0.7
"""
# Three visits of two participants, and a participant whom an earlier training had seen.
SPLITS = (
    Split("sub-01_ses-A", "sub-01", 0, True, "a" * 64),
    Split("sub-01_ses-B", "sub-01", 0, True, "b" * 64),
    Split("sub-02", "sub-02", 1, True, "c" * 64),
)


def small_plan(network="seed-resnet", channels=(4,), **changes):
    """Return a plan of a network of few weights."""
    changes = {"sources": ("T1w",), "target": "FLAIR", **changes}
    plan = make_plan(network, minutes=1, max_steps=9, precision="32-true", seed=0, patch=16, **changes)
    return type(plan)(**{**vars(plan), "channels": channels})


def small_bundle(path: Path, plan=None, splits=SPLITS, **about) -> Bundle:
    """Write a bundle of two networks whose weights nobody has trained."""
    plan = plan or small_plan()
    networks = [network_of(type(plan)(**{**vars(plan), "seed": seed})) for seed in (0, 1)]
    said = {"training_key": "k", "version": "0.9", "extra": {"metrics.tsv": METRICS}, **about}
    scale = IntensityScale("robust", 100.0, 20.0)
    residuals = (Residuals(s.visit, s.participant, s.fold, RANKS) for s in splits if s.fold is not None)
    return write_bundle(path, plan, IMAGES, networks, scale, splits, Calibration(tuple(residuals)), **said)


def reseal(folder: Path, **changes) -> None:
    """Do as somebody does who changes a bundle and hides it: all hashes are right afterwards."""
    content = {**read_manifest(folder), **changes}
    for part in ("Files", "Records"):
        content[part] = {name: file_sha256(folder / name) for name in content[part] if (folder / name).is_file()}
    write_manifest(folder, content)
