"""An error keeps its message across processes."""

import json

import pytest
from nipype.interfaces.base import BaseInterfaceInputSpec, TraitedSpec

from bidsapp.errors import DataError
from bidsapp.interfaces.base import ERROR_FILE, Step


class Failing(Step):
    input_spec = BaseInterfaceInputSpec
    output_spec = TraitedSpec

    def step(self, folder):
        raise DataError("scan.nii.gz: empty", "fetch it")


def test_message_hint_and_code_are_left_in_the_folder(tmp_path):
    with pytest.raises(DataError):
        Failing().run(cwd=str(tmp_path))
    assert json.loads((tmp_path / ERROR_FILE).read_text()) == {
        "message": "scan.nii.gz: empty",
        "hint": "fetch it",
        "exit_code": 65,
    }
