"""Whole heads of real anatomy with paired T1w and CT, painted from the test data's label maps."""

import json
from collections.abc import Container, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

# Label → (T1w, HU). Left and right have their own codes in FreeSurfer's scheme.
AIR, SOFT = (0.0, -1000.0), (60.0, 40.0)
WHITE, CORTEX, GREY, FLUID = (160.0, 30.0), (105.0, 38.0), (120.0, 36.0), (30.0, 8.0)
TISSUE = {
    **dict.fromkeys((2, 41, 7, 46, 16, 28, 60, 85), WHITE),
    **dict.fromkeys((3, 42, 8, 47), CORTEX),
    **dict.fromkeys((10, 11, 12, 13, 17, 18, 26, 49, 50, 51, 52, 53, 54, 58, 136, 137, 163, 164), GREY),
    **dict.fromkeys((4, 5, 14, 15, 24, 25, 30, 43, 44, 57, 62, 72), FLUID),
    **dict.fromkeys((515, 516), (15.0, 1000.0)),
    511: (170.0, -60.0),
    507: (90.0, 40.0),
    502: AIR,
    0: AIR,
}
# What the skull encloses.
INSIDE = [code for code, values in TISSUE.items() if values in (WHITE, CORTEX, GREY, FLUID)]


def paint(path: Path, seed: int = 0) -> tuple[nib.Nifti1Image, nib.Nifti1Image, nib.Nifti1Image]:
    """Return T1w, CT (HU) and brain mask of a label map, on its grid of 2 mm voxels; noisy and blurred."""
    source = nib.load(path)
    labels = np.asarray(source.dataobj)[::2, ::2, ::2].astype(int)
    affine = source.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    random = np.random.default_rng(seed)
    table = np.full((labels.max() + 1, 2), SOFT)
    for code, values in TISSUE.items():
        if code < len(table):
            table[code] = values
    images = []
    for contrast, noise in ((0, 4.0), (1, 12.0)):
        values = ndimage.gaussian_filter(table[labels, contrast], 0.4) + random.normal(0, noise, labels.shape)
        if contrast == 0:
            values = np.maximum(values, 0)
        images.append(nib.Nifti1Image(values.astype(np.float32), affine))
    brain = ndimage.binary_fill_holes(np.isin(labels, INSIDE))
    return images[0], images[1], nib.Nifti1Image(brain.astype(np.uint8), affine)


def write_dataset(folder: Path, labelmaps: Sequence[Path], without_ct: Container[int] = ()) -> Path:
    """Write painted heads as a raw dataset that says so; participants of some numbers, from 1, get no CT."""
    folder.mkdir(parents=True)
    about = {"Name": "heads painted from label maps, simulated: nobody was scanned", "BIDSVersion": "1.10.0"}
    (folder / "dataset_description.json").write_text(json.dumps(about))
    (folder / ".bidsignore").write_text("ct\n*_ct.*\n")
    for number, path in enumerate(labelmaps, start=1):
        t1w, ct, _ = paint(path, seed=number)
        images = {"anat": ("T1w", t1w), **({} if number in without_ct else {"ct": ("ct", ct)})}
        for place, (suffix, image) in images.items():
            image.set_qform(image.affine, 1)
            image.set_sform(image.affine, 1)
            file = folder / f"sub-{number:02d}/{place}/sub-{number:02d}_{suffix}.nii.gz"
            file.parent.mkdir(parents=True)
            nib.save(image, file)
    return folder
