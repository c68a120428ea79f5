"""CT: the shift of 1024 that no header tells, values that are no HU, and the table."""

import numpy as np
import pytest

from bidsapp.errors import DataError
from bidsapp.formats.hounsfield import as_hounsfield
from bidsapp.formats.volume import Volume

from ..fabricated import ct_head


def test_hounsfield_units_are_left_as_they_are(tmp_path):
    data, affine = ct_head()
    volume = as_hounsfield(tmp_path, Volume(data, affine))
    assert np.array_equal(volume.data, data)
    assert (volume.said, volume.sidecar) == ((), {"Units": "HU"})


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32])
def test_the_shift_that_no_header_tells_is_found_taken_back_and_said(tmp_path, dtype):
    data, affine = ct_head()
    volume = as_hounsfield(tmp_path, Volume((data.astype(int) + 1024).astype(dtype), affine))
    assert np.array_equal(volume.data, data)
    assert volume.sidecar["HounsfieldShift"] == -1024
    assert "1024 was subtracted" in volume.said[0]


@pytest.mark.parametrize("padding", [-2000, -1024, -32768])
def test_padding_does_not_hide_the_shift_and_becomes_air(tmp_path, padding):
    data, affine = ct_head()
    x, y, _ = np.indices(data.shape)
    outside = np.hypot(x - 23.5, y - 27.5) > 27
    stored = np.where(outside, padding, data.astype(int) + 1024).astype(np.int16)
    volume = as_hounsfield(tmp_path, Volume(stored, affine))
    assert np.array_equal(volume.data, np.where(outside, -1024, data))
    assert volume.sidecar == {"HounsfieldShift": -1024, "Units": "HU"}
    assert "1024 was subtracted" in volume.said[0]
    assert f"{int(outside.sum())} voxels that lay below -200 are padding" in volume.said[1]


def test_one_padded_voxel_does_not_hide_the_shift(tmp_path):
    data, affine = ct_head()
    stored = data.astype(np.int16) + 1024
    stored[0, 0, 0] = -2000
    volume = as_hounsfield(tmp_path, Volume(stored, affine))
    assert volume.data[0, 0, 0] == -1024
    assert np.array_equal(volume.data.ravel()[1:], data.ravel()[1:])


def test_hounsfield_units_with_padding_stay(tmp_path):
    data, affine = ct_head()
    data[:4], data[-4:] = -3024, -2000
    volume = as_hounsfield(tmp_path, Volume(data, affine))
    assert np.array_equal(volume.data, data)
    assert (volume.said, volume.sidecar) == ((), {"Units": "HU"})


@pytest.mark.parametrize("bone", [1060, 1500])
def test_air_of_one_value_is_air(tmp_path, bone):
    data, affine = ct_head()
    painted = np.where(data < -300, -1000, np.where(data > 600, bone, 35)).astype(np.int16)
    assert np.array_equal(as_hounsfield(tmp_path, Volume(painted, affine)).data, painted)


def test_other_units_are_refused(tmp_path):
    data, affine = ct_head()
    for values in (data.astype(int) + 2000, (data.astype(int) + 1024) // 4, np.abs(data.astype(int)) % 255):
        with pytest.raises(DataError, match="these are no Hounsfield units"):
            as_hounsfield(tmp_path, Volume(values.astype(np.int16), affine))
        values[:4] = -2000
        with pytest.raises(DataError, match="these are no Hounsfield units"):
            as_hounsfield(tmp_path, Volume(values.astype(np.int16), affine))


def test_the_table_goes_and_the_head_stays(tmp_path):
    data, affine = ct_head()
    volume = as_hounsfield(tmp_path, Volume(data, affine), remove_table=True)
    assert (volume.data[8:40, 1:3] == -1024).all()
    head = data > -300
    head[:, :4] = False
    assert np.array_equal(volume.data[head], data[head])
    assert "table was removed" in volume.said[0]
    # Air that is not at the table keeps what was measured.
    assert (volume.data[:, -3:] == data[:, -3:]).all()
