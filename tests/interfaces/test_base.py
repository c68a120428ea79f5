"""An error keeps its message across processes."""

import json
import subprocess

import numpy as np
import pytest
from nipype.interfaces.base import BaseInterfaceInputSpec, TraitedSpec

from bidsapp.errors import DataError
from bidsapp.interfaces.base import ERROR_FILE, Step, explained
from bidsapp.interfaces.usage import USAGE_FILE, read_peak


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


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB"),
        RuntimeError("std::bad_alloc"),
        OSError(12, "Cannot allocate memory"),
        subprocess.CalledProcessError(137, "ROBEX"),
        subprocess.CalledProcessError(-9, "ROBEX"),
    ],
)
def test_memory_that_ran_out_is_recognized(error):
    said = explained(error)
    assert said.message.startswith("memory ran out: ")
    assert said.hint.startswith("lower --nprocs")


@pytest.mark.parametrize("error", [KeyError("x"), subprocess.CalledProcessError(1, "ROBEX")])
def test_another_error_is_a_fault_to_report(error):
    assert explained(error).message.startswith(f"unexpected {type(error).__name__}: ")
    assert "report it" in explained(error).hint


class Holding(Step):
    input_spec = BaseInterfaceInputSpec
    output_spec = TraitedSpec

    def step(self, folder):
        np.ones(40_000_000)  # 320 MB
        return {}


class Idle(Step):
    input_spec = BaseInterfaceInputSpec
    output_spec = TraitedSpec

    def step(self, folder):
        return {}


def test_the_peak_of_memory_is_that_of_the_step(tmp_path):
    peaks = []
    for number, step in enumerate((Idle, Holding, Idle)):
        (tmp_path / str(number)).mkdir()
        step().run(cwd=str(tmp_path / str(number)))
        peaks.append(read_peak(tmp_path / str(number)))
    before, held, after = peaks
    assert held - before == pytest.approx(0.32, abs=0.05)
    assert after - before < 0.05  # where the system forgets a peak, as Linux does
    assert read_peak(tmp_path) == 0
    (tmp_path / USAGE_FILE).write_text("{")
    assert read_peak(tmp_path) == 0
