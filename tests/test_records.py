"""The frozen records."""

import numpy as np
import pytest

from bidsapp.records import Scan, Visit
from bidsapp.scales import IntensityScale


def test_scale_inverts_exactly_enough():
    scale = IntensityScale("robust", 312.5, 76.25)
    x = np.linspace(0, 4000, 1001)
    assert np.abs(scale.inverse(scale.forward(x)) - x).max() < 1e-9
    assert scale.forward(312.5) == 0


def test_visit():
    visit = Visit("01", None, (Scan("a", "T1w"),))
    assert visit.label == "sub-01"
    assert Visit("01", "A", ()).label == "sub-01_ses-A"
    assert visit.scan("T1w").path == "a"
    with pytest.raises(KeyError):
        visit.scan("FLAIR")
