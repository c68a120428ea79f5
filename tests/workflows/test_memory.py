"""What steps declare to take of memory, by the sizes of the images."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.records import Scan, Visit
from bidsapp.settings import Settings
from bidsapp.workflows.batch import ask_for
from bidsapp.workflows.memory import LEAST_GB, PER_MVOXEL, UNKNOWN, Memory, look_at
from bidsapp.workflows.plugins import Plugin
from bidsapp.workflows.visit import init_run_wf


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path / "raw", tmp_path / "out", ("participant",), reference="T1w")


def declaring(path, shape, spacing):
    """Write a header and, where the file system can, no voxel."""
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    header.set_sform(np.diag([*spacing, 1.0]), 1)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header.binaryblock)
        file.truncate(352 + 2 * int(np.prod(shape)))
    return Scan(path, path.name.removesuffix(".nii").rpartition("_")[2])


@pytest.fixture
def visit(settings):
    """A T1w of 5.1 million voxels, a CT of 57.7, and a FLAIR that is no image."""
    anat = settings.bids_dir / "sub-01/anat"
    scans = (
        declaring(anat / "sub-01_T1w.nii", (160, 200, 160), (1.0, 1.0, 1.0)),
        declaring(anat / "sub-01_ct.nii", (512, 512, 220), (0.5, 0.5, 1.0)),
        Scan(anat / "sub-01_FLAIR.nii", "FLAIR"),
    )
    scans[2].path.write_bytes(b"no image")
    return Visit("01", None, scans)


def test_a_step_declares_more_for_larger_images_and_never_less_than_was_measured():
    assert UNKNOWN.declared("T1w_wf.header") == LEAST_GB["header"] == 0.6
    small = Memory(None, "T1w", {"T1w": 3.1, "FLAIR": 4.9, "": 7.8})
    assert {step: small.declared(f"FLAIR_wf.{step}") for step in LEAST_GB} == LEAST_GB
    large = Memory(None, "T1w", {"T1w": 14.9, "ct": 54.9, "": 17.8})
    assert large.declared("participant.sub_01.ct_wf.header") == pytest.approx(0.6 + 50 * 0.024)
    assert large.declared("T1w_wf.register") == pytest.approx(1.0 + 10 * 0.034)
    assert large.declared("ct_wf.register") == pytest.approx(1.0 + 60 * 0.034)  # it holds the reference, too
    assert large.declared("ct_wf.normalize") == pytest.approx(0.6 + 10 * 0.02)  # on the grid
    assert large.declared("spaces_wf.ct_write") == pytest.approx(1.8 + 50 * 0.03)
    assert large.declared("spaces_wf.templates") == pytest.approx(1.8 + 10 * 0.03)
    assert PER_MVOXEL.keys() == LEAST_GB.keys()


def test_sizes_are_those_of_the_headers_and_a_broken_one_is_left_to_its_check(settings, visit):
    memory, problems = look_at(settings, visit, 8.0)
    assert memory.mvoxels == pytest.approx({"T1w": 5.12, "ct": 57.67168, "": 5.12})
    assert list(problems) == ["FLAIR"]
    fine = Settings(settings.bids_dir, settings.output_dir, ("participant",), resolution="0.5")
    assert look_at(fine, visit, 8.0)[0].mvoxels[""] == pytest.approx(8 * 5.12)


def test_slurm_is_asked_for_more_than_a_large_scan_takes(settings, visit):
    workflow = init_run_wf(settings, [visit], 8.0)
    nodes = {name: workflow.get_node(f"sub_01.{name}") for name in ("ct_wf.header", "FLAIR_wf.header")}
    ask_for(nodes.values(), Plugin("SLURM", {}))
    words = {name: node.plugin_args["sbatch_args"].split()[0] for name, node in nodes.items()}
    assert words == {"ct_wf.header": "--mem=1867M", "FLAIR_wf.header": "--mem=600M"}


def test_what_the_job_of_a_step_has_does_not_decide_whether_a_scan_is_good(settings, tmp_path, monkeypatch):
    path = settings.bids_dir / "sub-01/anat/sub-01_T1w.nii"
    path.parent.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 100, (60, 60, 60)).astype(np.int16)
    nib.save(nib.Nifti1Image(noise, np.diag([3.0, 3, 3, 1])), path)  # takes 3 MB
    workflow = init_run_wf(settings, [Visit("01", None, (Scan(path, "T1w"),))], 8.0)
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1")
    header = workflow.get_node("sub_01.T1w_wf.header").interface
    assert header.run(cwd=str(tmp_path)).outputs.out_file
    assert workflow.get_node("sub_01.T1w_wf.brain").interface.inputs.memory_gb == 8.0
