import base64
import io
import re
import sys
import xml.etree.ElementTree as ET

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from bidsapp.reports.figures import (
    brain_mask_figure,
    registration_figure,
    synthesis_figure,
)

SVG = "{http://www.w3.org/2000/svg}"


def head(codes="RAS", seed=0):
    """A noisy ellipsoid with a dark middle, brighter at the patient's left; its mask."""
    shape, spacing = (48, 60, 20), (3.0, 3.0, 6.0)
    x, y, z = ((g - n / 2) * s for g, n, s in zip(np.indices(shape), shape, spacing, strict=True))
    distance = np.sqrt((x / 65) ** 2 + (y / 80) ** 2 + (z / 50) ** 2)
    voxels = np.where(distance < 1, np.where(distance < 0.3, 30, 100), 0) + np.where(x < 0, 40, 0) * (distance < 1)
    voxels = voxels + np.random.default_rng(seed).normal(0, 3, shape)
    images = []
    for values in (voxels.astype(np.float32), (distance < 1).astype(np.uint8)):
        image = nib.Nifti1Image(values, np.diag([*spacing, 1.0]))
        start = nib.orientations.io_orientation(image.affine)
        turn = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(codes))
        images.append(image.as_reoriented(turn))
    return images


def pictures(path):
    found = re.findall(r"data:image/(\w+);base64,([^\"]+)", path.read_text())
    assert {kind for kind, _ in found} == {"jpeg"}
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")) for _, data in found]


def texts(path):
    return ["".join(node.itertext()).strip() for node in ET.parse(path).iter(f"{SVG}text")]  # noqa: S314


def draw(kind, folder):
    (image, mask), (other, _) = head(), head(seed=1)
    path = folder / f"{kind}.svg"
    if kind == "brain":
        return brain_mask_figure(image, mask, path)
    if kind == "registration":
        return registration_figure(image, other, mask, path)
    return synthesis_figure([image], other, other, image, mask, path)


@pytest.mark.parametrize("kind", ["brain", "registration", "synthesis"])
def test_the_same_figure_has_the_same_bytes_and_leaves_no_other_file(kind, tmp_path):
    first = draw(kind, tmp_path / "a").read_bytes()
    assert first == draw(kind, tmp_path / "b").read_bytes()
    assert [p.name for p in (tmp_path / "a").iterdir()] == [f"{kind}.svg"]
    assert b"<dc:date>" not in first
    assert len(first) < 600_000


def test_no_figure_loads_pyplot():
    import subprocess

    code = "import sys, bidsapp.reports.figures; print('matplotlib.pyplot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_brain_mask_figure_looks_alike_however_the_image_is_stored(tmp_path):
    straight = brain_mask_figure(*head("RAS"), tmp_path / "ras.svg")
    turned = brain_mask_figure(*head("LPS"), tmp_path / "lps.svg")
    assert straight.read_bytes() == turned.read_bytes()


def test_the_bright_left_is_beside_the_letter_l(tmp_path):
    path = brain_mask_figure(*head("LAS"), tmp_path / "las.svg")
    assert texts(path).count("L") == texts(path).count("R") == 12
    assert texts(path).count("P") == texts(path).count("A") == 6
    first = pictures(path)[0].mean(axis=2)
    half = first.shape[1] // 2
    assert first[:, :half].mean() > 1.3 * first[:, half:].mean()


def test_brain_mask_figure_has_18_pictures_with_the_aspect_of_the_head(tmp_path):
    path = brain_mask_figure(*head(), tmp_path / "brain.svg")
    found = [(float(n.get("width")), float(n.get("height"))) for n in ET.parse(path).iter(f"{SVG}image")]  # noqa: S314
    assert len(found) == 18
    # The box of the mask and its margin: 48 x 60 x 20 voxels at most, of 3 x 3 x 6 mm.
    widths = {"axial": 144 / 180, "coronal": 144 / 120, "sagittal": 180 / 120}
    for (width, height), wanted in zip(found[::6], widths.values(), strict=True):
        assert width / height == pytest.approx(wanted, rel=0.03)


def test_registration_figure_names_its_columns(tmp_path):
    path = draw("registration", tmp_path)
    assert [t for t in texts(path) if len(t) > 1] == ["fixed", "moving, outlines of fixed", "both, in squares"]
    assert len(pictures(path)) == 9


def test_synthesis_figure_shows_the_error_where_it_is(tmp_path):
    image, mask = head()
    wrong = np.asarray(image.dataobj).copy()
    wrong[:24] += 60  # the left half
    half = nib.Nifti1Image(np.full(wrong.shape, 5.0), image.affine)
    path = synthesis_figure([image], nib.Nifti1Image(wrong, image.affine), half, image, mask, tmp_path / "s.svg")
    shown = [t for t in texts(path) if len(t) > 3 and not t.replace(".", "").isdigit()]
    assert shown == [
        *("source", "synthesized", "acquired", "absolute error", "uncertainty"),
        "uncertainty and error, normalized units",
    ]
    error = pictures(path)[3].mean(axis=2)
    half = error.shape[1] // 2
    assert error[:, : half - 3].mean() > 50
    assert error[:, half + 3 :].mean() < 5


def test_synthesis_figure_without_a_target_or_with_two_sources(tmp_path):
    (image, mask), (other, _) = head(), head(seed=1)
    path = synthesis_figure([image, other], image, image, None, mask, tmp_path / "s.svg")
    assert [t for t in texts(path) if len(t) > 4][:4] == ["source 1", "source 2", "synthesized", "uncertainty"]
    assert len(pictures(path)) == 16 + 1  # and the colour bar


def test_no_error_is_shown_where_the_target_has_no_data(tmp_path):
    image, mask = head()
    target = np.asarray(image.dataobj).copy()
    target[:24] = 0
    seen = np.asarray(mask.dataobj).copy()
    seen[:24] = 0
    path = synthesis_figure(
        [image],
        image,
        image,
        nib.Nifti1Image(target, image.affine),
        mask,
        tmp_path / "s.svg",
        target_mask=nib.Nifti1Image(seen, image.affine),
    )
    assert pictures(path)[3].mean() < 2


def test_a_ct_is_shown_in_a_bone_window(tmp_path):
    image, mask = head()
    inside = np.asarray(mask.dataobj) > 0
    ct = np.where(inside, 400, -1024).astype(np.float32)
    wrong = np.where(inside, 1300, -1024).astype(np.float32)
    heads = [nib.Nifti1Image(values, image.affine) for values in (wrong, ct)]
    half = nib.Nifti1Image(np.full(wrong.shape, 100.0), image.affine)
    path = synthesis_figure([image], heads[0], half, heads[1], mask, tmp_path / "s.svg", ct=True)
    assert "uncertainty and error, HU" in texts(path)
    shown = [pictures(path)[place] for place in (1, 2)]
    middles = [picture[picture.shape[0] // 2, picture.shape[1] // 2] for picture in shown]
    assert middles[0].min() > 250
    assert middles[1].astype(int) == pytest.approx(127, abs=6)  # level 400, width 1800
