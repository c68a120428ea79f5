"""Throw damaged and invented NIfTI files at the header check: each is to be used or refused, by a `DataError`.

Usage: python benchmarks/fuzz_headers.py [--minutes 10] [--seed N]

What hypothesis finds it makes small, prints with the bytes that repeat it, and ends with status 1.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import hypothesis
import nibabel as nib
import numpy as np
from hypothesis import strategies as st

from bidsapp.errors import DataError
from bidsapp.imaging.headers import check_image

# What checking may take; a file that asks for more must have been refused before.
MEMORY_GB = 0.5
EXAMPLES = 200
TYPES = ("u1", "i2", "i4", "f4", "f8", "c8", "u2", "i8")


def good(kind: str, version: int, order: str) -> bytes:
    """Return a small image that passes: a ball of noise of 96 mm."""
    values = np.random.default_rng(0).normal(100, 20, (16, 16, 16)).astype(kind)
    maker, header = (nib.Nifti1Image, nib.Nifti1Header) if version == 1 else (nib.Nifti2Image, nib.Nifti2Header)
    told = header(endianness=order)
    told.set_data_dtype(kind)
    return bytes(maker(values, np.diag([6.0, 6, 6, 1]), told).to_bytes())


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, bool]:
    """Draw the bytes of a file, and whether it is compressed."""
    kind, version = draw(st.sampled_from(TYPES)), draw(st.sampled_from([1, 2]))
    content = bytearray(good(kind, version, draw(st.sampled_from("<>"))))
    header = nib.Nifti1Header if version == 1 else nib.Nifti2Header
    fields = sorted(offset for _, offset in header.template_dtype.fields.values())
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.sampled_from(fields)) + draw(st.sampled_from([0, 0, 2, 4, 8]))
        new = draw(st.one_of(numbers(), st.binary(min_size=1, max_size=8)))
        content[at : at + len(new)] = new
    content = content[: draw(st.sampled_from([*[len(content)] * 9, 0, 4, 348, 352, 540, 5000]))]
    content += draw(st.sampled_from([*[b""] * 6, b"\0" * 100_000, b"\0" * 9_000_000]))
    if not draw(st.booleans()):
        return bytes(content), False
    packed = bytearray(gzip.compress(bytes(content), 1))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        packed[draw(st.integers(0, len(packed) - 1))] = draw(st.integers(0, 255))
    return bytes(packed[: draw(st.sampled_from([*[len(packed)] * 6, len(packed) // 2, 12]))]), True


def numbers() -> st.SearchStrategy[bytes]:
    """Return the numbers that programs trip over, in every width and order of bytes."""
    whole = [0, 1, -1, 2, 7, 8, 127, 128, 255, 348, 540, 32767, -32768, 2**31 - 1, -(2**31)]
    broken = [0.0, -0.0, 1e-38, 1e38, -1e38, float("nan"), float("inf"), float("-inf"), 1e308]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packed = {np.array(n).astype(f"{o}{t}").tobytes() for n in whole for t in ("i2", "i4", "i8") for o in "<>"}
        packed |= {np.array(n).astype(f"{o}{t}").tobytes() for n in broken for t in ("f4", "f8") for o in "<>"}
    return st.sampled_from(sorted(packed))


def main() -> None:
    """Draw files until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.getLogger("nibabel").setLevel(logging.CRITICAL)
    nib.imageglobals.logger.setLevel(logging.CRITICAL)
    end, outcomes = time.monotonic() + 60 * given.minutes, Counter[str]()

    with tempfile.TemporaryDirectory() as folder:

        def check(file: tuple[bytes, bool]) -> None:
            content, compressed = file
            path = Path(folder, "scan.nii.gz" if compressed else "scan.nii")
            path.write_bytes(content)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    checked = check_image(path, MEMORY_GB)
            except DataError as error:
                outcomes[" ".join(error.message.removeprefix(f"{path}: ").split()[:4])] += 1
                if not (error.hint and str(path) in error.message):
                    raise ValueError(f"no word of what is wrong: {error}") from error
                return
            outcomes["USED"] += 1
            assert np.isfinite(np.asarray(checked.image.dataobj)).all()
            assert np.isfinite(checked.image.affine).all()

        seed = given.seed
        while time.monotonic() < end:
            settings = hypothesis.settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
                print_blob=False,
            )
            hypothesis.seed(seed)(settings(hypothesis.given(files())(check)))()
            seed += 1
    for outcome, count in outcomes.most_common(40):
        print(f"{count:7d}  {outcome}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{outcomes.total()} files, {outcomes['USED']} used, all others refused; at most {peak:.2f} GB of memory"
    )


if __name__ == "__main__":
    sys.exit(main())
