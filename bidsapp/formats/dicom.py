"""DICOM: one series of a folder, checked by its headers, converted by dcm2niix."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import nibabel as nib
import numpy as np

from bidsapp.errors import DataError, UsageError
from bidsapp.formats.deidentify import allowed
from bidsapp.formats.limits import check_claim
from bidsapp.formats.recognize import is_bystander, recognized, unreadable
from bidsapp.formats.series import INSTALL, Series, by_number, check_series, header_affine, series_of
from bidsapp.formats.volume import ReadOptions, Volume, check_type, one_volume, shear_of
from bidsapp.imaging.forms import MAX_SHEAR

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECONDS = 600
# Positions have few digits, and gaps may differ by as much.
APART_MM = 0.5
OWN_FOLDER = "put the slices of each into a folder of its own"


def split_source(source: Path) -> tuple[Path, str | None]:
    """Split ``FOLDER#SERIES`` into the folder and the number of the series; ``None`` where there is none.

    ``FOLDER/#SERIES`` is the same: of a source folder that holds the slices itself a table says ``#SERIES``.
    """
    folder, mark, number = source.name.rpartition("#")
    if not (mark and number.isdecimal()) or source.is_dir():
        return source, None
    return (source.with_name(folder) if folder else source.parent), number


def series_source(folder: Path, number: str, *, root: bool = False) -> Path:
    """Return the source that names a series of a folder; of the source folder itself, one that lies in it."""
    return folder / f"#{number}" if root else folder.with_name(f"{folder.name}#{number}")


def read_dicom(source: Path, options: ReadOptions) -> Volume:
    """Read one series of a folder: all of it, or ``FOLDER#SERIES`` where there are several.

    Raises
    ------
    DataError
        Several series and none is named, or a series that is no volume: missing slices, uneven gaps, mixed slices,
        a tilt that is not to be resampled.
    UsageError
        dcm2niix or pydicom is not installed.
    """
    folder, _ = split_source(source)
    series = chosen_series(source)
    tilt = check_series(f"{folder} (series {series.number})", series)
    if tilt and options.tilt != "resample":
        message = f"{folder} (series {series.number}): gantry tilt of {tilt:.1f} degrees"
        raise DataError(message, "give --tilt resample to interpolate it onto straight axes, or leave it out")
    rows, columns = series.slices[0].grid[:2]
    check_claim(folder, (int(rows), int(columns), len(series.slices)), 4)
    return _converted(folder, series, options)


def chosen_series(source: Path) -> Series:
    """Return the series of a folder that a source names; see `read_dicom`."""
    folder, number = split_source(source)
    found = series_of(dicom_files(folder))
    if not found:
        raise DataError(f"{folder}: no DICOM image", "check the mapping and the source folder")
    wanted = [series for series in found if number in {None, series.number}]
    if len({patient for series in wanted for patient in series.patients}) > 1:
        raise DataError(f"{source}: slices of several patients", OWN_FOLDER)
    if len(wanted) == 1:
        if wanted[0].fault is not None:
            raise wanted[0].fault
        return wanted[0]
    there = ", ".join(f"{one.number} ({len(one.files)} files)" for one in found)
    if not wanted:
        raise DataError(f"{folder}: no series {number}; there is {there}", "check the mapping")
    named = [known for known, one in by_number(found).items() if number is None and one.fault is None]
    hint = f"name one in the mapping, as {folder.name}#{named[0]}" if named else OWN_FOLDER
    raise DataError(f"{folder}: mixed series, {len(wanted)} in one folder: {there}", hint)


def dicom_files(folder: Path) -> list[Path]:
    """Return the DICOM files of a folder and its sub-folders; any other file among them is an error.

    Raises
    ------
    DataError
        A file is damaged or something else: a slice may be lost, which nobody would see.
    InputOutputError
        A folder cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", "check the mapping and the source folder")
    files = []
    for path in sorted(Path(here) / name for here, _, names in os.walk(folder, onerror=_unread) for name in names):
        if is_bystander(path):
            continue
        if recognized(path) != "DICOM":
            raise DataError(f"{path}: is no DICOM, but lies among the slices", "move it out of the folder")
        files.append(path)
    return files


def _unread(error: OSError) -> NoReturn:
    raise unreadable(error) from error


def _converted(folder: Path, series: Series, options: ReadOptions) -> Volume:
    """Run dcm2niix on the files of one series alone, so that it can mix nothing."""
    program = _program()
    with tempfile.TemporaryDirectory() as name:
        inside, outside = Path(name) / "in", Path(name) / "out"
        inside.mkdir()
        outside.mkdir()
        for count, file in enumerate(series.files):
            (inside / f"{count:06d}.dcm").symlink_to(file.resolve())
        words = [program, "-b", "y", "-ba", "y", "-z", "n", "-f", "image", "-o", str(outside), str(inside)]
        try:
            run = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise DataError(f"{folder}: dcm2niix took over {SECONDS} s", "look at the series") from error
        # dcm2niix adds images that it has straightened itself; ours are resampled by one rule for all formats.
        images = [path for path in outside.glob("*.nii") if not {"Tilt", "Eq"} & set(path.stem.split("_"))]
        if len(images) != 1:
            last = (run.stdout.strip() or run.stderr.strip() or "it said nothing").splitlines()[-1]
            raise DataError(f"{folder}: dcm2niix made {len(images)} images of one series: {last}", "look at it")
        image = nib.load(images[0])
        check_type(folder, image.get_data_dtype())
        index = one_volume(folder, image.shape, options.volume)
        data = np.asarray(image.dataobj[(slice(None),) * 3 + index])
        sidecar = images[0].with_suffix(".json")
        content = json.loads(sidecar.read_text(encoding="utf-8")) if sidecar.is_file() else {}
    if image.shape[2] != len(series.slices):
        message = f"{folder}: {image.shape[2]} slices of {len(series.slices)} were converted"
        raise DataError(message, "some are damaged; fetch the series again")
    return Volume(data, _affine(folder, series, image), 1, (), allowed(content))


def _affine(folder: Path, series: Series, image: nib.Nifti1Image) -> NDArray[np.float64]:
    """Return where the converted voxels lie by the headers, on whichever side dcm2niix put their first.

    dcm2niix leaves the tilt of an evenly spaced series out of its affine, as if slices were stacked upright.
    """
    affine, theirs = header_affine(series), image.affine
    for axis in range(3):
        if affine[:3, axis] @ theirs[:3, axis] < 0:
            affine[:3, 3] += affine[:3, axis] * (image.shape[axis] - 1)
            affine[:3, axis] *= -1
    upright = shear_of(affine) <= MAX_SHEAR
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in image.shape[:3]])).reshape(3, -1)
    apart = np.abs((affine - theirs)[:3, :3] @ corners + (affine - theirs)[:3, 3:]).max()
    if upright and apart > APART_MM:
        message = f"{folder}: dcm2niix puts voxels {apart:.1f} mm away from where the headers say"
        raise DataError(message, "leave it out, or convert it by hand and look at it")
    return affine


def _program() -> str:
    try:
        import dcm2niix
    except ImportError as error:
        raise UsageError("DICOM needs dcm2niix and pydicom, which are not installed", INSTALL) from error
    return str(dcm2niix.bin)
