"""What all tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of the real data; a test that asks for it is skipped where it is absent."""
    folder = Path(os.environ.get("SYNTHPREP_TEST_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"{folder}: no test data; set SYNTHPREP_TEST_DATA")
    return folder
