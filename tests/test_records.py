"""The frozen records."""

import pytest

from bidsapp.records import Scan, Visit


def test_visit():
    visit = Visit("01", None, (Scan("a", "T1w"),))
    assert visit.label == "sub-01"
    assert Visit("01", "A", ()).label == "sub-01_ses-A"
    assert visit.scan("T1w").path == "a"
    with pytest.raises(KeyError):
        visit.scan("FLAIR")
