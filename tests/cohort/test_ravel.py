"""RAVEL on a cohort in which some scans cover a part of the brain."""

from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from bidsapp.cohort import ravel
from bidsapp.errors import DataError
from bidsapp.imaging.tissue import FLUID, WHITE
from bidsapp.imaging.transforms import LinearTransform, write_itk
from bidsapp.records import Scan, Visit
from bidsapp.scales import IntensityScale

EDGE, AFFINE = 24, np.diag([2.0, 2, 2, 1])
SCALE = IntensityScale("robust", 500.0, 100.0)


def on_grid(data, affine=AFFINE):
    return nib.Nifti1Image(np.asarray(data), affine)


class Files:
    """What a cohort's derivatives say of ten visits, each with an unwanted factor; some FLAIRs end at a height."""

    def __init__(self, folder, heights):
        self.settings = SimpleNamespace(work=folder, output_dir=folder, reference="T1w")
        random = np.random.default_rng(0)
        self.factors, self.heights = random.normal(size=len(heights)), heights
        self.visits = [
            Visit(f"{n}", None, (Scan(Path("t"), "T1w"), Scan(Path("f"), "FLAIR"))) for n in range(len(heights))
        ]
        anatomy, noise = random.normal(size=(EDGE,) * 3), random.normal(size=(len(heights), *(EDGE,) * 3))
        self.images = [
            (anatomy + f + 0.05 * n).astype(np.float32) for f, n in zip(self.factors, noise, strict=True)
        ]
        self.classes = np.full((EDGE,) * 3, WHITE, np.uint8)
        self.classes[6:18, 6:18, 4:20] = FLUID
        self.written, self.affine = {}, AFFINE

    def _covered(self, visit, contrast):
        covered = np.zeros((EDGE,) * 3, np.uint8)
        covered[:, :, : self.heights[int(visit.subject)] if contrast == "FLAIR" else EDGE] = 1
        return covered

    def preproc(self, visit, contrast):
        data = SCALE.inverse(self.images[int(visit.subject)])
        return on_grid(np.where(self._covered(visit, contrast), data, 0).astype(np.float32), self.affine)

    def mask(self, visit, contrast):
        return on_grid(self._covered(visit, contrast), self.affine)

    def normalized(self, visit, contrast):
        return on_grid(SCALE.forward(np.asarray(self.preproc(visit, contrast).dataobj)).astype(np.float32)), SCALE

    def tissue(self, visit):
        return on_grid(self.classes)

    def write(self, visit, contrast, desc, image, parents, scale, *, less=""):
        self.written[visit.subject, desc] = image.get_fdata()
        return self.settings.output_dir / desc


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    """Return a function that makes the files of a cohort and RAVEL on them, in the space of a small template."""
    template = SimpleNamespace(image=on_grid(np.zeros((EDGE,) * 3, np.float32)))
    monkeypatch.setattr(ravel, "load_template", lambda *_: template)

    def make(heights):
        files = Files(tmp_path, heights)
        way = ravel.RavelCohort(files)
        monkeypatch.setattr(way, "_transform", lambda _: LinearTransform(np.eye(4)))
        return files, way

    return make


def fitted(files, way, count=10):
    for visit in files.visits[:count]:
        way.look_at(visit, ("T1w", "FLAIR"))
    return way.fit([(visit, None) for visit in files.visits[:count]], ("T1w", "FLAIR"))


def test_a_slab_is_corrected_by_its_own_factor(cohort):
    files, way = cohort([14, *[EDGE] * 9, 12])  # one of ten lacks the upper part, and so does a new one
    population = fitted(files, way)
    for number in (0, 5, 10):
        way.apply(files.visits[number], "FLAIR", population)
        part = files.written[f"{number}", "ravelfield"][:, :, 2:10]
        assert part.mean() == pytest.approx(files.factors[number] - files.factors[:10].mean(), abs=0.1)


def test_most_scans_must_cover_what_is_compared(cohort):
    files, way = cohort([*[12] * 3, *[EDGE] * 7])
    control = np.unravel_index(fitted(files, way).numbers["control"], (EDGE,) * 3)
    assert (control[2].min(), control[2].max()) == (4, 9)  # the slabs end at 12, less what interpolation mixes


def test_a_scan_that_covers_too_little_is_named(cohort):
    files, way = cohort([*[EDGE] * 10, 6])
    population = fitted(files, way)
    with pytest.raises(DataError, match="FLAIR: only 0 of the 2304 voxels"):
        way.apply(files.visits[10], "FLAIR", population)


def test_a_corrected_header_asks_for_a_new_transform(cohort, tmp_path, monkeypatch):
    files, way = cohort([EDGE] * 10)
    monkeypatch.undo()
    found = []

    def register(head, template, kind, folder):
        found.append(head.image.affine)
        return SimpleNamespace(to_template=write_itk(LinearTransform(np.eye(4)), folder / "to.txt"))

    monkeypatch.setattr(ravel, "register_to_template", register)
    shifted = AFFINE.copy()
    shifted[0, 3] = 30.0
    for files.affine in (AFFINE, AFFINE, shifted):
        way._transform(files.visits[0])
    assert len(found) == 2
