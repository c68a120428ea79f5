"""Numbers."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.imaging.transforms import LinearTransform, write_itk
from bidsapp.interfaces.quality import Measure


def test_the_reference_has_a_volume_and_no_alignment(files, tmp_path):
    image, mask = files("T1w")
    numbers = Measure(mask=mask, scan=image, scan_mask=mask).run(cwd=str(tmp_path)).outputs.numbers
    assert list(numbers) == ["brain_volume_ml", "edge_contact_cm2", "flags"]
    assert numbers["flags"] == ""
    assert numbers["brain_volume_ml"] == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.02)  # a ball of 4 cm


def test_the_range_of_the_bias_field_in_the_brain_is_measured(files, tmp_path):
    image, mask = files("T1w")
    ramp = np.indices(nib.load(image).shape)[0]
    inside = ramp[np.asarray(nib.load(mask).dataobj) > 0]
    nib.save(nib.Nifti1Image(np.exp(0.1 * ramp).astype(np.float32), nib.load(image).affine), tmp_path / "f.nii")
    step = Measure(mask=mask, scan=image, scan_mask=mask, field=str(tmp_path / "f.nii"))
    numbers = step.run(cwd=str(tmp_path)).outputs.numbers
    low, high = np.percentile(inside, (5, 95))
    assert numbers["inu_range"] == pytest.approx(np.exp(0.1 * (high - low)), rel=1e-3)


def test_a_reference_that_cuts_the_brain_is_flagged_and_another_scan_is_not(files, tmp_path):
    image, mask = files("T1w")
    paths = []
    for path in (image, mask):  # a ball of 8 cm, its upper half cut away
        whole = nib.Nifti1Image(np.asarray(nib.load(path).dataobj), np.diag([4.0, 4, 8, 1]))
        paths.append(str(tmp_path / f"cut_{len(paths)}.nii"))
        nib.save(whole.slicer[:, :, :14], paths[-1])
    cut, cut_mask = paths
    numbers = Measure(mask=cut_mask, scan=cut, scan_mask=cut_mask).run(cwd=str(tmp_path)).outputs.numbers
    assert numbers["edge_contact_cm2"] == pytest.approx(np.pi * 8**2, rel=0.05)
    assert numbers["flags"].startswith("the field of view cuts the brain: 20")
    path = write_itk(LinearTransform(np.eye(4)), tmp_path / "t.txt")
    aligned = Measure(
        mask=cut_mask, scan=cut, scan_mask=cut_mask, reference=cut, reference_mask=cut_mask, transform=str(path)
    )
    assert aligned.run(cwd=str(tmp_path)).outputs.numbers["flags"] == ""


@pytest.mark.parametrize(("moved", "flagged"), [(0.0, False), (25.0, True)])
def test_a_wrong_alignment_is_flagged(files, tmp_path, moved, flagged):
    reference, reference_mask = files("T1w")
    scan, mask = files("FLAIR", (moved, 0, 0))
    path = write_itk(LinearTransform(np.eye(4)), tmp_path / "t.txt")
    step = Measure(
        mask=mask,
        scan=scan,
        scan_mask=mask,
        reference=reference,
        reference_mask=reference_mask,
        transform=str(path),
    )
    numbers = step.run(cwd=str(tmp_path)).outputs.numbers
    assert bool(numbers["flags"]) is flagged
    assert (numbers["mask_dice"] > 0.99) is not flagged


def test_motion_is_measured_at_the_brain(files, tmp_path):
    image, mask = files("T1w", (10, 0, 0))
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])  # half a turn about the z axis: the ball's centre moves by 20 mm
    path = write_itk(LinearTransform(turn), tmp_path / "t.txt")
    step = Measure(
        mask=mask, scan=image, scan_mask=mask, reference=image, reference_mask=mask, transform=str(path)
    )
    numbers = step.run(cwd=str(tmp_path)).outputs.numbers
    assert numbers["rotation_deg"] == pytest.approx(180)
    assert numbers["translation_mm"] == pytest.approx(20, abs=0.2)
