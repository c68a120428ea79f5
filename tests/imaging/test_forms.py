"""Where an image lies: quaternions hardly longer than 1."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.imaging.choice import best_image
from bidsapp.imaging.headers import check_header, check_image

SHAPE = (34, 36, 38)
HALF_TURN = np.diag([-3.0, -3.0, 3.0, 1.0])


@pytest.fixture
def turned(tmp_path):
    """Return a function that writes an image turned by half about z, with a chosen ``quatern_d``."""

    def turned(d, *, scode=1, kind=nib.Nifti1Image, name="scan.nii"):
        data = np.random.default_rng(0).integers(0, 120, SHAPE).astype(np.int16)
        image = kind(data, HALF_TURN)
        image.set_qform(HALF_TURN, 1)
        image.set_sform(HALF_TURN, scode)
        size = kind.header_class.sizeof_hdr
        content = image.to_bytes()
        header = kind.header_class(content[:size])
        header["quatern_d"] = d
        (tmp_path / name).write_bytes(header.binaryblock + content[size:])
        return tmp_path / name

    return turned


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("scode", [0, 1])
def test_a_quaternion_hardly_longer_than_1_is_shortened(turned, kind, scode):
    checked = check_image(turned(1.0000005, scode=scode, kind=kind))
    assert checked.image.affine == pytest.approx(HALF_TURN, abs=1e-6)
    assert checked.image.get_qform() == pytest.approx(HALF_TURN, abs=1e-6)
    assert checked.decisions[0] == "The qform's quaternion was 5e-07 longer than 1: it was shortened."
    assert len(checked.decisions) == 2 - scode


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_rounding_to_32_bits_is_not_worth_a_word(turned, kind):
    assert check_image(turned(np.float32(1 + 1.2e-7), kind=kind)).decisions == ()


def test_a_longer_quaternion_is_none(turned):
    path = turned(1.01)
    assert check_image(path).decisions == ("Only the sform is valid; it was copied to the qform.",)
    with pytest.raises(DataError, match="neither qform nor sform is usable"):
        check_header(turned(1.01, scode=0))


def test_such_a_file_ends_no_choice_of_the_best(turned):
    paths = [turned(1.0000005, name="a.nii"), turned(1.0, name="b.nii"), turned(1.01, scode=0, name="c.nii")]
    assert best_image(paths) == 0
