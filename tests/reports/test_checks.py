import nibabel as nib
import numpy as np

from bidsapp.reports.checks import bias_figure, flicker_figures

from .test_figures import head, pictures, texts


def test_the_two_sheets_of_a_flicker_lie_on_each_other(tmp_path):
    (image, mask), (other, _) = head(), head(seed=1)
    paths = tmp_path / "fixed.svg", tmp_path / "moving.svg"
    assert flicker_figures(image, other, mask, paths) == paths
    sheets = [pictures(path) for path in paths]
    assert [len(sheet) for sheet in sheets] == [9, 9]
    assert [p.shape for p in sheets[0]] == [p.shape for p in sheets[1]]
    apart = [np.abs(a.astype(int) - b).mean() for a, b in zip(*sheets, strict=True)]
    assert 0 < max(apart) < 20  # other noise, the same head


def test_a_field_is_shown_about_one_and_both_images_in_one_window(tmp_path):
    image, mask = head()
    x = np.linspace(0.6, 1.4, image.shape[0])[:, None, None] * np.ones(image.shape)
    field = nib.Nifti1Image(x.astype(np.float32), image.affine)
    acquired = nib.Nifti1Image(np.asarray(image.dataobj) * x, image.affine)
    path = bias_figure(acquired, field, image, mask, tmp_path / "bias.svg")
    shown = [text for text in texts(path) if len(text) > 5]
    assert shown == ["as acquired", "bias field", "corrected", "bias field; 1 is its mean in the brain"]
    before, colours, after = (picture.astype(int) for picture in pictures(path)[:3])
    half = before.shape[1] // 2
    assert colours[:, :half, 2].mean() > colours[:, :half, 0].mean() + 50  # blue where the field is below 1
    assert colours[:, half:, 0].mean() > colours[:, half:, 2].mean() + 50
    assert (after - before)[:, :half].mean() > 5
    assert (after - before)[:, half:].mean() < -5
