"""What of a scan's protocol may be told: a list of fields, and nothing else.

A list of what is forbidden would miss what a vendor invents next year. Free text (protocol and series names,
comments, institutions) is not on the list, since people type names into it, and neither are dates, times, serial
numbers and identifiers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBERS = frozenset({
    *("MagneticFieldStrength", "ImagingFrequency", "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle"),
    *("RepetitionTimeExcitation", "SliceThickness", "SpacingBetweenSlices", "EchoNumber", "EchoTrainLength"),
    *("NumberOfAverages", "PixelBandwidth", "DwellTime", "PercentPhaseFOV", "PercentSampling", "PartialFourier"),
    *("PhaseEncodingSteps", "AcquisitionMatrixPE", "ReconMatrixPE", "ParallelReductionFactorInPlane", "SAR"),
    *("PhaseOversampling", "ImageOrientationPatientDICOM", "TxRefAmp", "WaterFatShift", "TurboFactor"),
    *("XRayExposure", "XRayTubeCurrent", "ExposureTime", "KVP", "GantryTilt", "ReconstructionDiameter"),
})  # fmt: skip
WORDS = frozenset({
    *("Modality", "Manufacturer", "ManufacturersModelName", "ScanningSequence", "SequenceVariant", "ScanOptions"),
    *("MRAcquisitionType", "PatientPosition", "ImageType", "NonlinearGradientCorrection", "ConvolutionKernel"),
    *("PhaseEncodingDirection", "PhaseEncodingAxis", "InPlanePhaseEncodingDirectionDICOM", "MTState"),
    *("SpoilingState", "SpoilingType", "ParallelAcquisitionTechnique", "CoilCombinationMethod"),
    *("ConversionSoftware", "ConversionSoftwareVersion"),
})  # fmt: skip
MAX_LETTERS = 64


def allowed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a sidecar that may be told, with values of the kind that they should have."""
    told: dict[str, Any] = {}
    for name, value in content.items():
        values = value if isinstance(value, list) else [value]
        if (name in NUMBERS and all(_is_number(item) for item in values)) or (
            name in WORDS and all(_is_word(item) for item in values)
        ):
            told[name] = value
    return told


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)  # JSON has no NaN, though Python reads and writes it
    return isinstance(value, int) and not isinstance(value, bool)


def _is_word(value: Any) -> bool:
    return isinstance(value, bool) or _is_number(value) or (isinstance(value, str) and len(value) <= MAX_LETTERS)
