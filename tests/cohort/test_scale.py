"""The scale of a cohort: fitted to those that are learned from, applied to all."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp.bids import names, sidecars, sink
from bidsapp.bids.gather import gather, read_scale
from bidsapp.cohort.scale import apply_population, fit_population
from bidsapp.errors import DataError
from bidsapp.records import Scan, Visit
from bidsapp.scales import IntensityScale, Population, zero_of
from bidsapp.settings import Settings

EDGE = 24


@pytest.fixture
def cohort(tmp_path):
    """Three visits whose images are one brain under other gains; the last one lacks its FLAIR."""
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("group",), normalization="nyul")
    random = np.random.default_rng(0)
    brain = np.digitize(random.uniform(size=(EDGE,) * 3), (0.2, 0.6)) * 50.0 + random.normal(size=(EDGE,) * 3)
    for number, gain in enumerate((1.0, 3.0, 0.5), start=1):
        contrasts = ("T1w", "FLAIR") if number < 3 else ("T1w",)
        visit = Visit(f"{number}", None, tuple(Scan(Path(c), c) for c in contrasts))
        _write(settings.output_dir, visit, brain * gain + 10 * number)
    return settings, gather(settings.output_dir, ("T1w",), "FLAIR", "T1w").visits


def _write(out, visit, data):
    grid = np.diag([5.0, 5, 5, 1])
    image, mask = nib.Nifti1Image(data.astype(np.float32), grid), nib.Nifti1Image(np.ones(data.shape, "u1"), grid)
    about = sidecars.Provenance(names.preproc(visit, visit.scan("T1w"), "T1w"), "T1w")
    rows = []
    for scan in visit.scans:
        preproc, normalized, brain = (
            f(visit, scan, "T1w") for f in (names.preproc, names.normalized, names.brain_mask)
        )
        said = sidecars.preproc(
            about,
            scan.contrast,
            "raw",
            sha256="f" * 64,
            decisions=(),
            resolution="5 mm",
            stripped=visit.subject == "2",
        )
        sink.write_image(image, out / preproc, said)
        scale = IntensityScale("robust", 0.0, 1.0)
        said = sidecars.normalized(about, scan.contrast, (preproc, brain), scale)
        sink.write_image(image, out / normalized, said)
        sink.write_image(mask, out / brain, sidecars.mask(about, scan.contrast, ["x"], "deepbet"), dtype="uint8")
        rows.append({"filename": f"anat/{Path(preproc).name}", "contrast": scan.contrast})
    sink.write_tsv(rows, out / names.scans_table(visit), ["filename", "contrast", "flags"])


def test_every_visit_comes_to_the_scale_of_those_with_a_target(cohort):
    settings, visits = cohort
    population = fit_population(settings, visits)
    done, damaged = apply_population(settings, visits, population)
    assert damaged == []
    images = [nib.load(visit.pair.sources[0]).get_fdata() for visit in done]
    assert max(np.abs(images[0] - other).max() for other in images[1:]) < 0.01
    assert [visit.pair.target is not None for visit in done] == [True, True, False]
    assert done[0].pair.sources[0].name == "sub-1_desc-nyul_T1w.nii.gz"
    scale = done[1].pair.target_scale
    acquired = nib.load(settings.output_dir / "sub-2/anat/sub-2_space-T1w_desc-preproc_FLAIR.nii.gz").get_fdata()
    assert scale.inverse(nib.load(done[1].pair.target).get_fdata()) == pytest.approx(acquired, rel=1e-5, abs=1e-3)


def test_a_visit_without_a_target_changes_nothing_of_the_scale(cohort):
    settings, visits = cohort
    every, learned = (fit_population(settings, which).numbers for which in (visits, visits[:2]))
    assert {name: values.tolist() for name, values in every.items()} == {n: v.tolist() for n, v in learned.items()}


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:500],
        # A kind of block that deflate lacks.
        lambda content: content[:10] + bytes([content[10] | 6]) + content[11:],
    ],
)
def test_a_damaged_image_costs_its_visit_only(cohort, damage):
    settings, visits = cohort
    population = fit_population(settings, visits)
    broken = settings.output_dir / "sub-2/anat/sub-2_desc-preproc_T1w.nii.gz"
    broken.write_bytes(damage(broken.read_bytes()))
    done, damaged = apply_population(settings, visits, population)
    assert [visit.pair.visit for visit in done] == ["sub-1", "sub-3"]
    assert [skip.visit for skip in damaged] == ["sub-2"]
    fit_population(settings, visits)  # from the other one


def test_an_image_says_that_it_is_stripped_where_its_parent_does(cohort):
    settings, visits = cohort
    done, _ = apply_population(settings, visits, fit_population(settings, visits))
    sidecars_ = [json.loads(Path(str(v.pair.sources[0]).replace(".nii.gz", ".json")).read_text()) for v in done]
    assert [content["SkullStripped"] for content in sidecars_] == [False, True, False]


def test_an_image_says_that_it_is_for_tests_only_where_its_parent_does(cohort):
    settings, visits = cohort
    (parent,) = (settings.output_dir / "sub-2/anat").glob("*_desc-preproc_T1w.json")
    parent.write_text(parent.read_text().replace('"Description": "', f'"Description": "{sidecars.SLOPPY}'))
    done, _ = apply_population(settings, visits, fit_population(settings, visits))
    said = [json.loads(Path(str(v.pair.sources[0]).replace(".nii.gz", ".json")).read_text()) for v in done]
    assert [sidecars.is_sloppy(content) for content in said] == [False, True, False]


@pytest.mark.parametrize("method", ["lsq", "ravel"])
def test_a_visit_without_a_t1w_costs_itself_only(cohort, method):
    settings, visits = cohort
    without = replace(visits[1], visit=replace(visits[1].visit, scans=visits[1].visit.scans[1:]))
    done, damaged = apply_population(settings, [without], Population(method, {"T1w": np.ones(3)}))
    assert done == []
    assert [(skip.visit, skip.reason) for skip in damaged] == [
        ("sub-2", "sub-2: no T1w, which the scale of the cohort needs")
    ]


def test_a_visit_that_lacks_a_source_is_brought_to_the_scale_of_the_others(cohort):
    settings, visits = cohort
    settings = replace(settings, source=("T1w", "T2w"))
    pair = replace(visits[1].pair, sources=(*visits[1].pair.sources, None))
    lacking = replace(visits[1], pair=pair)
    population = fit_population(replace(settings, source=("T1w",)), visits)
    (done,), damaged = apply_population(settings, [lacking], population)
    assert damaged == []
    assert done.pair.sources[0].name == "sub-2_desc-nyul_T1w.nii.gz"
    assert done.pair.sources[1] is None
    with pytest.raises(DataError, match="no visit can be read to fit --normalization nyul to"):
        fit_population(settings, [lacking])


def test_what_no_signal_is_follows_the_scale(cohort):
    settings, visits = cohort
    population = fit_population(settings, visits)
    around = [replace(visit, pair=replace(visit.pair, zeros=(-5.0,))) for visit in visits]
    plain, moved = (apply_population(settings, given, population)[0] for given in (visits, around))
    assert all(visit.pair.zeros == () for visit in plain)
    for visit in moved:
        (path,) = visit.pair.sources
        scale = read_scale(path.with_name(names.sidecar(path.name)))
        assert visit.pair.zeros == (zero_of(scale),)
        assert visit.pair.zeros != (-5.0,)
