"""What all tests share."""

import os
from pathlib import Path

import hypothesis
import pytest

# The same examples in every run, however busy the machine is; `benchmarks/fuzz_headers.py` draws others.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, max_examples=60, database=None)
hypothesis.settings.load_profile("tests")

ROOT = Path(__file__).parents[1]
# Files whose slow tests take minutes each, beyond what CI has time for: `make test-long` runs them.
LONG = {
    *("test_broken_on_purpose.py", "test_derivatives.py", "test_failures.py", "test_full_disk.py"),
    *("test_offline.py", "test_parallel.py", "test_tutorial.py", "test_bidsify.py"),
}


def pytest_collection_modifyitems(items):
    """Begin with the files that take minutes, or one worker ends long after the others; skip what is long."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.parent.name != "e2e", item.path not in slow))
    if os.environ.get("SYNTHPREP_LONG"):
        return
    for item in items:
        if item.path.name in LONG and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: make test-long"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of the real data; a test that asks for it is skipped where it is absent."""
    folder = Path(os.environ.get("SYNTHPREP_TEST_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"{folder}: no test data; set SYNTHPREP_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def phantom_cohort(tmp_path_factory) -> Path:
    """Three simulated participants of 2 mm voxels, four visits; two of the visits lack the FLAIR."""
    from bidsapp.phantom.cohort import simulate_cohort

    folder = tmp_path_factory.mktemp("phantom") / "bids"
    simulate_cohort(folder, participants=3, resolution=2.0)
    return folder
