"""The verdict on a registration."""

import pytest

from bidsapp.imaging.alignment import Alignment

GOOD = {
    "mask_dice": 0.97,
    "nmi_before": 1.04,
    "nmi_after": 1.10,
    "edge_overlap": 0.8,
    "residual_mm": 0.2,
    "rotation_deg": 3.0,
    "translation_mm": 4.0,
    "volume_ratio": 1.0,
}


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, 0),
        ({"mask_dice": 0.6}, 1),
        ({"nmi_before": 1.2}, 1),
        ({"residual_mm": 2.5}, 1),
        ({"rotation_deg": 120.0}, 1),
        ({"volume_ratio": 0.7}, 1),
        ({"nmi_after": 1.0, "mask_dice": 0.5}, 3),
    ],
)
def test_verdict(change, reasons):
    alignment = Alignment(**{**GOOD, **change})
    assert len(alignment.flags) == reasons
    assert list(alignment.columns()) == [*GOOD, "flags"]
