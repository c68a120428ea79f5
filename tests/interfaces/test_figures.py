"""Which pictures a scan gets."""

from pathlib import Path

import nibabel as nib
import numpy as np

from bidsapp.interfaces.figures import Draw


def draw(folder, **given):
    folder.mkdir()
    return Draw(**given).run(cwd=str(folder)).outputs.figures


def test_a_scan_gets_the_pictures_of_the_steps_that_it_went_through(files, tmp_path):
    image, mask = files("T1w")
    plain = draw(tmp_path / "a", image=image, mask=mask)
    assert list(plain) == ["brain"]
    own = {"acquired": image, "corrected": image, "field": image, "scan_mask": mask}
    assert list(draw(tmp_path / "b", image=image, mask=mask, **own)) == ["bias", "brain"]
    aligned = {"reference": image, "reference_mask": mask}
    drawn = draw(tmp_path / "c", image=image, mask=mask, **aligned)
    assert list(drawn) == ["registration", "fixed", "moving", "brain"]
    contents = [Path(path).read_bytes() for path in (*drawn.values(), *plain.values())]
    assert all(b"<svg" in content for content in contents)
    assert contents[1] == contents[2]  # the same image twice
    assert len(set(contents)) == 4  # the mask of an aligned scan is drawn with the reference's
    assert nib.load(image).shape == (50, 50, 26)  # nothing was written over the input


def test_a_mask_that_left_the_grid_costs_its_picture_only(files, tmp_path):
    image, mask = files("T1w")
    empty = tmp_path / "empty.nii"
    nib.save(nib.Nifti1Image(np.zeros(nib.load(mask).shape, np.uint8), nib.load(mask).affine), empty)
    drawn = draw(tmp_path / "a", image=image, mask=str(empty), reference=image, reference_mask=mask)
    assert list(drawn) == ["registration", "fixed", "moving"]
