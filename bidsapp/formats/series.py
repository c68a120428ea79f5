"""The series of a DICOM folder, and whether one of them is a volume: what headers say, no voxel is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsapp.errors import DataError, UsageError
from bidsapp.imaging.forms import MAX_SHEAR
from bidsapp.imaging.itk import LPS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# Scanners write positions with a few digits; larger differences between gaps are no rounding.
GAP_TOLERANCE_MM = 0.1
GAP_TOLERANCE = 0.03
WANTED = (
    *("SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ProtocolName", "Modality", "Rows"),
    *(
        "Columns",
        "PixelSpacing",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "NumberOfFrames",
        "EchoNumbers",
    ),
    *("RescaleSlope", "RescaleIntercept", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"),
    *("ImageType", "InstanceNumber", "PatientID", "StudyDate"),
)
INSTALL = "pip install 'synthprep[dicom]'"
APART = "convert each of its volumes by itself, or leave the series out"
# What headers that break the rules of DICOM make pydicom and numpy raise.
ODD = (AttributeError, TypeError, ValueError, IndexError, OverflowError)


class NoPlaceError(DataError):
    """A series of which no file says where it lies: a dose report, a screenshot."""


@dataclass(frozen=True)
class Slice:
    """Where one slice lies.

    Attributes
    ----------
    position : ndarray, shape (3,)
        Its first voxel, mm, left-posterior-superior.
    orientation : ndarray, shape (2, 3)
        Directions of its rows and columns.
    grid : tuple
        Rows, columns and the two spacings (mm).
    """

    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    grid: tuple[float, ...]


@dataclass(frozen=True)
class Series:
    """Files that share a series identifier.

    Attributes
    ----------
    files : tuple of Path
        Sorted.
    number : str
        The scanner's number of the series; ``?`` where it has none.
    description : str
        What the scanner's operator called it: for guessing, never written to a dataset.
    modality : str
        ``CT``, ``MR`` …
    slices : tuple of Slice
        Of all files and frames.
    unshifted : bool
        Whether no file has an intercept other than 0.
    patients : frozenset of str
        Whose its files say they are: to tell people apart, and for nothing else.
    dates : frozenset of str
        When it was acquired: to tell visits apart, and for nothing else.
    fault : DataError or None
        Why it cannot be used; to be raised where it is chosen, for the other series of its folder may be good.
    """

    files: tuple[Path, ...]
    number: str = "?"
    description: str = ""
    modality: str = ""
    slices: tuple[Slice, ...] = ()
    unshifted: bool = False
    patients: frozenset[str] = field(default=frozenset(), repr=False)
    dates: frozenset[str] = field(default=frozenset(), repr=False)
    fault: DataError | None = None


def series_of(files: Sequence[Path]) -> list[Series]:
    """Group DICOM files by series, in the order of their numbers; what holds no image is passed over.

    A series that cannot be used says why, and costs only itself.
    """
    try:
        from pydicom import dcmread
        from pydicom.errors import InvalidDicomError
    except ImportError as error:
        raise UsageError("DICOM needs dcm2niix and pydicom, which are not installed", INSTALL) from error
    groups: dict[str, list[tuple[Path, Any]]] = {}
    for path in sorted(files):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(WANTED))
        except (InvalidDicomError, OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: no readable DICOM: {error}", "copy or fetch the file again") from error
        if "Rows" in header:
            groups.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((path, header))
    found = [_series(group) for group in groups.values()]
    return sorted(found, key=lambda one: (not one.number.isdigit(), one.number.zfill(12), one.files[0]))


def _series(group: Sequence[tuple[Path, Any]]) -> Series:
    first = group[0][1]
    series = Series(tuple(path for path, _ in group))
    try:
        number = first.get("SeriesNumber")
        words = (str(first.get(name) or "") for name in ("SeriesDescription", "ProtocolName"))
        series = replace(
            series,
            number="?" if number is None else str(int(number)),
            description=" ".join(word for word in words if word),
            modality=str(first.get("Modality") or ""),
            patients=frozenset(str(header.get("PatientID") or "").strip() for _, header in group),
            dates=frozenset(str(header.get("StudyDate") or "") for _, header in group),
        )
        intercepts = {float(header.get("RescaleIntercept") or 0) for _, header in group}
        return replace(series, slices=_placed(group), unshifted=intercepts == {0.0})
    except DataError as error:
        return replace(series, fault=error)
    except ODD as error:
        fault = DataError(f"{group[0][0]}: damaged DICOM header: {error}", "fetch the series again")
        return replace(series, fault=fault)


def by_number(found: Sequence[Series]) -> dict[str, Series]:
    """Return the series of a folder that a number tells from the others, by that number."""
    often = Counter(one.number for one in found)
    return {one.number: one for one in found if one.number.isdecimal() and often[one.number] == 1}


def _placed(group: Sequence[tuple[Path, Any]]) -> tuple[Slice, ...]:
    """Return where the slices of a series lie."""
    lost = [path for path, header in group if not _says_where(header)]
    if lost:
        kind = NoPlaceError if len(lost) == len(group) else DataError
        raise kind(f"{lost[0]}: does not say where its slice lies", "it is no volume; leave the series out")
    return tuple(place for _, header in group for place in _slices(header))


def _says_where(header: Any) -> bool:
    single = ("ImagePositionPatient", "ImageOrientationPatient")
    frames = header.get("PerFrameFunctionalGroupsSequence")
    return bool(frames) or all(header.get(name) is not None for name in single)


def _slices(header: Any) -> list[Slice]:
    """Return where the slices of a file lie: one, or as many as an enhanced file has frames."""
    frames = header.get("PerFrameFunctionalGroupsSequence")
    if not frames:
        return [_slice(header, header.ImagePositionPatient, header.ImageOrientationPatient, header.PixelSpacing)]
    shared = header.SharedFunctionalGroupsSequence[0]
    placed = []
    for frame in frames:
        plane = getattr(frame, "PlaneOrientationSequence", None) or shared.PlaneOrientationSequence
        pixels = getattr(frame, "PixelMeasuresSequence", None) or shared.PixelMeasuresSequence
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        placed.append(_slice(header, position, plane[0].ImageOrientationPatient, pixels[0].PixelSpacing))
    return placed


def _slice(header: Any, position: Any, orientation: Any, spacing: Any) -> Slice:
    directions = np.array([float(n) for n in orientation]).reshape(2, 3)
    grid = (float(header.Rows), float(header.Columns), *(float(n) for n in spacing))
    return Slice(np.array([float(n) for n in position]).reshape(3), directions, grid)


def check_series(name: str, series: Series) -> float:
    """Check that a series is one volume of evenly spaced slices.

    Parameters
    ----------
    name : str
        For messages.
    series : Series
        Its headers.

    Returns
    -------
    float
        The tilt of its slices against the normal of their plane, degrees; 0 for what is rounding.

    Raises
    ------
    DataError
        It is not: the message names mixed slices, several volumes, missing slices or uneven gaps.
    """
    slices = series.slices
    if len(slices) < 2:
        raise DataError(f"{name}: a series of one slice", "it is no volume; leave it out")
    grids, turns = {place.grid for place in slices}, np.array([place.orientation for place in slices])
    if len(grids) > 1 or np.abs(turns - turns[0]).max() > 1e-3:
        what = "orientations (a localizer?)" if len(grids) == 1 else f"sizes or spacings ({len(grids)} of them)"
        raise DataError(f"{name}: mixed series: slices of several {what}", APART)
    normal = np.cross(*turns[0])
    positions = np.array([place.position for place in slices])
    order = np.argsort(positions @ normal)
    steps = np.diff(positions[order], axis=0)
    _check_gaps(name, steps @ normal, positions[order] @ normal)
    step = steps.sum(axis=0)
    sine = float(np.linalg.norm(np.cross(normal, step)) / np.linalg.norm(step))
    return float(np.degrees(np.arcsin(min(sine, 1.0)))) if sine > MAX_SHEAR else 0.0


def header_affine(series: Series) -> NDArray[np.float64]:
    """Return where a series lies by its headers: column, row and slice along the normal to RAS mm, with a tilt."""
    first = series.slices[0]
    row, column = first.orientation
    positions = np.array([place.position for place in series.slices])
    ordered = positions[np.argsort(positions @ np.cross(row, column))]
    affine = np.eye(4)
    # The spacing of DICOM is that between rows, then that between columns.
    affine[:3, 0], affine[:3, 1] = row * first.grid[3], column * first.grid[2]
    affine[:3, 2] = (ordered[-1] - ordered[0]) / (len(ordered) - 1)
    affine[:3, 3] = ordered[0]
    return LPS @ affine


def _check_gaps(name: str, gaps: NDArray[np.float64], places: NDArray[np.float64]) -> None:
    if gaps.min() < 1e-3:
        several = len(gaps) + 1 - int((gaps > 1e-3).sum()) - 1
        message = f"{name}: several images at one place ({several} of {len(gaps) + 1}): several volumes or echoes"
        raise DataError(message, APART)
    usual = float(np.median(gaps))
    tolerance = max(GAP_TOLERANCE_MM, GAP_TOLERANCE * usual)
    odd = np.flatnonzero(np.abs(gaps - usual) > tolerance)
    if not odd.size:
        return
    times = gaps[odd] / usual
    if np.all(np.abs(times - np.round(times)) * usual <= tolerance) and odd.size < len(gaps) / 2:
        lost = int((np.round(times) - 1).sum())
        where = ", ".join(f"{places[k]:.1f} and {places[k + 1]:.1f}" for k in odd[:5])
        message = f"{name}: {lost} slices are missing (between {where} mm along the normal)"
        raise DataError(message, "fetch the series again, or leave it out: slices are not made up")
    message = f"{name}: uneven gaps between slices, {gaps.min():.1f} to {gaps.max():.1f} mm"
    raise DataError(message, "NIfTI has one spacing; reconstruct the series evenly, or leave it out")
