"""Templates: found, laid on a head, and reached in one interpolation."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import NoInputError
from bidsapp.imaging.grid import Grid, own_grid, resample
from bidsapp.imaging.headers import check_image
from bidsapp.imaging.quality import mask_overlap
from bidsapp.imaging.registration import Head
from bidsapp.imaging.spaces import mask_through, register_to_template, resample_through
from bidsapp.imaging.template import BUNDLED, check_template, load_template
from bidsapp.imaging.transforms import LinearTransform, write_itk
from bidsapp.phantom.deformation import rigid
from bidsapp.phantom.truth import read_truth

NAME = "MNI152NLin6Asym"


@pytest.fixture
def templateflow(tmp_path, monkeypatch):
    """A local TemplateFlow with one template of 2 mm voxels, and an empty file for the one of 1 mm."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    folder = tmp_path / f"tpl-{NAME}"
    folder.mkdir()
    data = np.zeros((20, 20, 20), np.float32)
    data[5:15, 5:15, 5:15] = 7
    data[:2] = 3  # neck
    affine = np.diag([2.0, 2, 2, 1])
    nib.save(nib.Nifti1Image(data, affine), folder / f"tpl-{NAME}_res-02_T1w.nii.gz")
    mask = nib.Nifti1Image((data > 5).astype(np.uint8), affine)
    nib.save(mask, folder / f"tpl-{NAME}_res-02_desc-brain_mask.nii.gz")
    (folder / f"tpl-{NAME}_res-01_T1w.nii.gz").touch()


def test_a_local_template_is_stripped(templateflow):
    template = load_template(NAME, 2)
    data = template.image.get_fdata()
    assert (data.max(), (data > 0).sum(), template.mask.get_fdata().sum()) == (7, 1000, 1000)


@pytest.mark.parametrize(("name", "spacing"), [(NAME, 1), (NAME, 3), ("MNI152NLin2009cAsym", 2)])
def test_a_template_that_is_not_there_is_named_with_what_fetches_it(templateflow, name, spacing):
    with pytest.raises(NoInputError, match=rf"tpl-{name}_res-0{spacing}_T1w") as raised:
        check_template(name, spacing)
    assert name in raised.value.hint


def test_the_bundled_template_is_there_at_any_resolution():
    check_template(BUNDLED, 1)
    coarse = load_template(BUNDLED, 4)
    assert 1500 < coarse.mask.get_fdata().sum() * 4**3 / 1000 < 2200  # ml
    assert coarse.image.get_fdata()[coarse.mask.get_fdata() == 0].max() == 0


@pytest.fixture
def chain(tmp_path):
    """Return two rigid transforms as files, and their product."""
    first, second = rigid((0, 0, 10), (4, -3, 2)), rigid((8, 0, 0), (-1, 5, 3))
    paths = [
        write_itk(LinearTransform(m), tmp_path / f"{n}.txt") for n, m in (("first", first), ("second", second))
    ]
    return paths, LinearTransform(second @ first)


def test_a_chain_is_one_interpolation(oblique, chain):
    paths, product = chain
    grid = Grid(oblique.affine, oblique.shape)
    ours, through = resample(oblique, grid, product), resample_through(oblique, grid, paths)
    inside = np.zeros(grid.shape, bool)
    inside[8:-8, 8:-8, 8:-8] = True
    inside &= (ours.get_fdata() > 0) & (through.get_fdata() > 0)
    difference = np.abs(ours.get_fdata() - through.get_fdata())[inside]
    assert np.percentile(difference, 99) < 0.5  # of values about 500 ± 150


def test_a_checkerboard_carried_there_and_back_in_one_chain_keeps_its_contrast(tmp_path):
    board = (np.indices((40, 40, 40)) // 2).sum(0) % 2 * 100.0
    image = nib.Nifti1Image(board.astype(np.float32), np.diag([3.0, 3, 3, 1]))
    shift = np.eye(4)
    shift[:3, 3] = 1.5  # half a voxel: what an interpolation blurs most
    there, back = LinearTransform(shift), LinearTransform(shift).inverse
    files = [write_itk(there, tmp_path / "there.txt"), write_itk(back, tmp_path / "back.txt")]
    grid, middle = own_grid(image), (slice(8, -8),) * 3
    once = resample_through(image, grid, files).get_fdata()[middle]
    twice = resample(resample(image, grid, there), grid, back).get_fdata()[middle]
    assert once.std() == pytest.approx(50, abs=0.5)
    assert twice.std() < 45


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("affine", 0.94), ("syn", 0.96)])
def test_a_simulated_head_is_carried_to_the_template(phantom_cohort, tmp_path, kind, least):
    truth = read_truth(phantom_cohort, "sub-01_ses-1", "T1w")
    image = check_image(phantom_cohort / "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz").image
    template = load_template(BUNDLED, 2)
    found = register_to_template(Head(image, truth.brain), template, kind, tmp_path)
    grid = own_grid(template.image)
    assert mask_overlap(mask_through(truth.brain, grid, [found.to_template]), template.mask) >= least
    back = mask_through(template.mask, own_grid(image), [found.from_template])
    assert mask_overlap(back, truth.brain) >= least
