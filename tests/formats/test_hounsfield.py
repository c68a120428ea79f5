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


def test_other_units_are_refused(tmp_path):
    data, affine = ct_head()
    for values in (data.astype(int) + 2000, (data.astype(int) + 1024) // 4, np.abs(data.astype(int)) % 255):
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
