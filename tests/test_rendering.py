"""On which grid and in whose intensities a prediction is written."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp.bids import names
from bidsapp.bids.gather import gather
from bidsapp.bids.sink import write_image
from bidsapp.errors import DataError, UsageError
from bidsapp.imaging.grid import Grid
from bidsapp.records import Scan, Visit
from bidsapp.rendering import check_rendering, matched_scale, rendering_of
from bidsapp.scales import IntensityScale, LandmarkScale
from bidsapp.settings import Settings
from bidsapp.synthesis.bundle import Bundle
from bidsapp.synthesis.manifest import Images
from bidsapp.synthesis.pairs import load_volume
from bidsapp.synthesis.plan import make_plan

from .derived import CALIBRATION, HU, SCALE, write_visit

PLAN = make_plan("unet", ("T1w",), "FLAIR", minutes=1, max_steps=1, precision="32-true", seed=0)
IMAGES = Images("robust", "T1w", {"T1w": "robust", "FLAIR": "robust"}, ((2.0,) * 3,) * 2)
TYPICAL = IntensityScale("robust", 300.0, 60.0)
ACQUIRED = Grid(np.array([[0, 0, -1.5, 9], [1.25, 0, 0, 0], [0, 2.5, 0, 0], [0, 0, 0, 1]]), (8, 5, 7), 2)


@pytest.fixture
def settings(tmp_path):
    """Settings for derivatives of one visit."""
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("group",))
    write_visit(settings.output_dir, Visit("01", "A", (Scan(Path("t1"), "T1w"), Scan(Path("fl"), "FLAIR"))))
    return settings


@pytest.fixture
def visit(settings):
    """Return the visit."""
    (visit,) = gather(settings.output_dir, ("T1w",), "FLAIR", "T1w").visits
    return visit


@pytest.fixture
def bundle(tmp_path):
    """Return a bundle whose cohort's typical scale is known."""
    return Bundle(tmp_path / "bundle", PLAN, IMAGES, TYPICAL, (), CALIBRATION, "0", "k", "1")


def image(settings, contrast="FLAIR", desc="preproc"):
    space = "" if contrast == "T1w" else "space-T1w_"
    return str(settings.output_dir / f"sub-01/ses-A/anat/sub-01_ses-A_{space}desc-{desc}_{contrast}.nii.gz")


def write_grid(settings, visit, **changes):
    """Write down on which grid the reference was acquired."""
    preproc = names.preproc(visit.visit, visit.visit.scan("T1w"), "T1w")
    sidecar = settings.output_dir / names.sidecar(preproc)
    sidecar.write_text(
        json.dumps({**json.loads(sidecar.read_text()), "AcquiredGrid": ACQUIRED.to_json(), **changes})
    )


def test_a_prediction_stays_on_the_common_grid_in_the_cohorts_intensities(settings, visit, bundle):
    rendering = rendering_of(settings, visit, bundle)
    volume = load_volume(visit.pair, ())
    written = rendering.image(volume, np.full(volume.mask.shape, 2, np.float32))
    mask = nib.load(visit.pair.mask)
    assert np.array_equal(written.affine, mask.affine)
    assert np.array_equal(np.asarray(written.dataobj), np.where(np.asarray(mask.dataobj) > 0, 420, 0))
    assert rendering.reference == "bids::sub-01/ses-A/anat/sub-01_ses-A_desc-preproc_T1w.nii.gz"
    assert (rendering.resampled, rendering.scale_of[:27]) == ("", "the training cohort's FLAIR")
    half = np.full(volume.mask.shape, 0.5, np.float32)
    spread = rendering.spread(volume, 2 + 0 * half, half)  # a width has no offset
    assert np.array_equal(np.asarray(spread.dataobj), np.where(np.asarray(mask.dataobj) > 0, 30, 0))


def test_the_width_of_an_interval_follows_a_bent_scale(settings, visit, bundle):
    bent = LandmarkScale("nyul", (0.0, 100.0, 400.0), (0.0, 1.0, 2.0))
    rendering = replace(rendering_of(settings, visit, bundle), scale=bent)
    volume = load_volume(visit.pair, ())
    value, half = (np.full(volume.mask.shape, v, np.float32) for v in (1.0, 0.5))
    spread = np.asarray(rendering.spread(volume, value, half).dataobj)
    assert spread.max() == pytest.approx((250 - 50) / 2)


def test_a_prediction_is_carried_to_the_grid_of_the_acquired_reference(settings, visit, bundle):
    write_grid(settings, visit)
    native = replace(settings, synth_space="native")
    check_rendering(native, [visit], bundle)
    rendering = rendering_of(native, visit, bundle)
    volume = load_volume(visit.pair, ())
    written = rendering.image(volume, np.full(volume.mask.shape, 2, np.float32))
    assert (written.shape, int(written.header["sform_code"])) == (ACQUIRED.shape, 2)
    assert np.allclose(written.affine, ACQUIRED.affine)
    values = np.asarray(written.dataobj)
    assert 0 < (values != 0).sum() < values.size
    assert values[values != 0] == pytest.approx(420)
    assert rendering.reference == "bids:raw:sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz"
    assert rendering.resampled.startswith("the acquired T1w's own grid")


@pytest.mark.parametrize("grid", [None, {"Shape": [1, 2]}, {"Shape": [1, 2, 3], "Affine": [1], "Code": 1}])
def test_derivatives_that_do_not_say_the_grid_are_named_before_a_training(settings, visit, grid):
    write_grid(settings, visit, AcquiredGrid=grid)
    check_rendering(settings, [visit], None)
    with pytest.raises(DataError, match=r"desc-preproc_T1w\.json: does not say on which grid") as raised:
        check_rendering(replace(settings, synth_space="native"), [visit], None)
    assert "participant level again" in raised.value.hint


def test_intensities_of_an_acquired_image_or_of_none(settings, visit, bundle):
    for desc in ("preproc", "normalized"):
        asked = replace(settings, match_to=image(settings, desc=desc))
        rendering = rendering_of(asked, visit, bundle)
        assert rendering.scale == SCALE
        assert rendering.scale_of == f"bids::sub-01/ses-A/anat/{Path(asked.match_to).name}"
    elsewhere = replace(asked, output_dir=settings.output_dir / "other")
    assert matched_scale(elsewhere, "robust", "FLAIR") == (SCALE, Path(asked.match_to).name)
    normalized = rendering_of(replace(settings, match_to="normalized"), visit, bundle)
    assert normalized.scale == IntensityScale("robust", 0.0, 1.0)
    assert normalized.scale_of == "none: normalized units (robust)"


def test_an_image_to_match_that_is_a_link_is_called_by_its_name_in_the_dataset(settings, tmp_path):
    path = Path(image(settings))
    path.rename(tmp_path / "annexed")
    path.symlink_to(tmp_path / "annexed")
    _, called = matched_scale(replace(settings, match_to=str(path)), "robust", "FLAIR")
    assert called == f"bids::sub-01/ses-A/anat/{path.name}"


def test_an_image_on_the_scale_of_its_cohort_is_matched_on_that_scale(settings):
    sidecar = Path(image(settings, desc="nyul").replace(".nii.gz", ".json"))
    scale = {"Method": "nyul", "Landmarks": [10, 50, 90], "Standard": [0, 1, 2]}
    sidecar.write_text(json.dumps({"IntensityScale": scale}))
    for desc in ("preproc", "nyul"):
        found, _ = matched_scale(replace(settings, match_to=image(settings, desc=desc)), "nyul", "FLAIR")
        assert found.inverse(np.array([1.5])) == pytest.approx(70)


def test_images_that_cannot_be_matched_are_refused_before_a_training(settings, visit, bundle):
    other = replace(settings, match_to=image(settings, "T1w"))
    with pytest.raises(UsageError, match="no preprocessed FLAIR by its name"):
        check_rendering(other, [visit], None)
    asked = replace(settings, match_to=image(settings))
    check_rendering(asked, [visit], None)
    check_rendering(asked, [visit], bundle)
    scale = IntensityScale("zscore", 0.0, 1.0)
    with pytest.raises(UsageError, match="no intensity scale zscore beside it") as raised:
        check_rendering(asked, [visit], replace(bundle, target_scale=scale))
    assert "desc-preproc_FLAIR" in raised.value.hint


@pytest.mark.parametrize("space", ["source", "native"])
def test_a_ct_is_written_in_whole_hounsfield_units_with_air_around_it(settings, visit, bundle, space, tmp_path):
    write_grid(settings, visit)
    asked = replace(settings, synth_space=space)
    rendering = rendering_of(asked, visit, replace(bundle, target_scale=HU))
    volume = load_volume(visit.pair, ())
    written = rendering.image(volume, np.full(volume.mask.shape, 0.0403, np.float32))
    path = write_image(written, tmp_path / "ct.nii.gz", {}, dtype=rendering.dtype)
    stored = nib.load(path)
    assert stored.get_data_dtype() == np.int16
    assert set(np.unique(np.asarray(stored.dataobj))) == {-1024, 40}
    assert rendering.scale_of == "all CTs: Hounsfield units"
    extremes = rendering.intensities(np.array([-2, 5], np.float32))
    assert extremes.tolist() == [-1024, 3071]
