"""How large the group report of many visits is, how long it takes to write, and how long Chromium to open it.

    python benchmarks/group_report.py [--visits 1000] [--figure-kb 600] [--keep FOLDER]

The records are fabricated (``tests/fabricated_cohort.py``): three contrasts, four models, every table and drawing.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bidsapp.reports.group import write_group_report
from tests.browser import CHROMIUM, Browser
from tests.fabricated_cohort import fabricated_report

# Two frames after the load event everything in sight is laid out and drawn.
DRAWN = (
    """new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""
)
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
SORTED = """(() => { const start = performance.now();
document.querySelectorAll('#quality-table th button')[4].click();
document.body.offsetHeight; return performance.now() - start; })()"""


def main() -> None:
    """Write a page, open it, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=1000)
    parser.add_argument("--figure-kb", type=int, default=600, help="of each of the twelve figures")
    parser.add_argument("--keep", type=Path, help="folder to leave the page in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report = fabricated_report(folder, options.visits, 1000 * options.figure_kb)
        start = time.perf_counter()
        page = write_group_report(report, folder / "group.html")
        print(f"{options.visits} visits: written in {time.perf_counter() - start:.1f} s")
        print(f"size: {page.stat().st_size / 1e6:.1f} MB")
        if CHROMIUM is None:
            print("no Chromium: not opened")
            return
        for width in (1400, 390):
            with Browser() as window:
                window.call("Performance.enable", timeDomain="threadTicks")
                window.resize(width)
                window.open(page)
                drawn, loaded, busy = window.evaluate(DRAWN), window.evaluate(LOADED), 1000 * _cpu(window)
                print(f"{width} px: load event after {loaded:.0f} ms, drawn by {drawn:.0f} ms,")
                print(f"  its thread computed for {busy:.0f} ms; the quality table is sorted in", end=" ")
                print(f"{window.evaluate(SORTED):.0f} ms")


def _cpu(window) -> float:
    """Return the processor seconds of the page's thread; on a busy computer they tell more than the clock."""
    metrics = window.call("Performance.getMetrics")["metrics"]
    return next(item["value"] for item in metrics if item["name"] == "TaskDuration")


if __name__ == "__main__":
    main()
