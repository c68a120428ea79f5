"""A dry run of the participant level: what would be done, and what that takes."""

import hashlib
import json

import nibabel as nib
import numpy as np
import pytest

from bidsapp.bids.select import select
from bidsapp.costs import MAIN_GB, START_SECONDS, loaded, own_seconds, step_seconds
from bidsapp.errors import ExitCode
from bidsapp.forecast import Forecast, dry_run, longest_chain
from bidsapp.interfaces.usage import USAGE_FILE
from bidsapp.resources import Grant
from bidsapp.settings import Settings
from bidsapp.workflows.cache import cached_nodes
from bidsapp.workflows.execution import execute
from bidsapp.workflows.memory import UNKNOWN, look_at
from bidsapp.workflows.visit import init_run_wf

GRANT = Grant(2, 8.0, 0, ())


@pytest.fixture
def settings(tmp_path):
    """Three visits: a good one, one whose FLAIR is no image, one without T1w; and a T2w that nobody asked for."""
    raw = tmp_path / "raw"
    noise = np.random.default_rng(0).random((40, 40, 30)).astype(np.float32)
    image = nib.Nifti1Image(noise, np.diag([3.0, 3, 4, 1]))
    for name in ("01_T1w", "01_FLAIR", "01_T2w", "02_T1w", "02_FLAIR", "03_FLAIR"):
        path = raw / f"sub-{name[:2]}/anat/sub-{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
    (raw / "sub-02/anat/sub-02_FLAIR.nii.gz").write_bytes(b"no image")
    (raw / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.10.0"}))
    return Settings(raw, tmp_path / "out", ("participant",))


def said(capsys):
    return " ".join(capsys.readouterr().out.split())


def test_files_visits_and_what_they_take(settings, capsys):
    statuses = dry_run(settings, select(settings), GRANT)
    told = said(capsys)
    assert [(status.visit, status.state) for status in statuses] == [("sub-01", "selected"), ("sub-02", "failed")]
    assert statuses[1].exit_code == ExitCode.BAD_DATA
    assert statuses[1].reason.startswith("FLAIR header check: ")
    assert "sub-01/anat/sub-01_T1w.nii.gz reference" in told
    assert "sub-01/anat/sub-01_T2w.nii.gz not used no T2w is asked for: --contrasts" in told
    assert "sub-02/anat/sub-02_FLAIR.nii.gz cannot be used" in told
    assert "sub-03 – skipped no T1w (it has FLAIR) (every visit needs the reference)" in told
    assert "sub-01 to do 0 of 19 16 of 16" in told
    assert "sub-02 fails 0 of 19 8 of 8" in told
    assert "2.0 steps at a time, limited by processes (2 CPUs, 8 GB granted)" in told
    assert "at most what steps declare, 1.6 GB each" in told
    assert not settings.output_dir.exists()


def test_the_grid_is_that_of_the_resolution(settings):
    (visit, *_) = select(settings).visits
    memory, problems = look_at(settings, visit, 8.0)
    assert memory.mvoxels == pytest.approx({"T1w": 0.048, "": 1.728, "FLAIR": 0.048})  # 40 × 40 × 30; 120³ of 1 mm
    assert problems == {}


@pytest.mark.slow
def test_what_a_run_has_finished_is_found_and_nothing_is_touched(settings, tmp_path, capsys):
    selection = select(settings)
    workflow = init_run_wf(settings, selection.visits[:1], 8.0)
    assert cached_nodes(workflow)[1] == set()
    assert not settings.work.exists()
    outcome = execute(workflow, GRANT, tmp_path)
    before = {
        path: hashlib.sha256(path.read_bytes()).digest() for path in settings.work.rglob("*") if path.is_file()
    }
    nodes, cached = cached_nodes(init_run_wf(settings, selection.visits[:1], 8.0))
    assert len(nodes) == 19
    assert cached == outcome.finished != set()
    after = {
        path: hashlib.sha256(path.read_bytes()).digest() for path in settings.work.rglob("*") if path.is_file()
    }
    assert after == before
    other = Settings(settings.bids_dir, settings.output_dir, ("participant",), skull_strip="template")
    assert cached_nodes(init_run_wf(other, selection.visits[:1], 8.0))[1] == {
        node for node in outcome.finished if node.endswith("header")
    }
    dry_run(settings, selection, GRANT)
    assert f" {len(cached)} of 19 " in said(capsys)


def test_memory_limits_what_runs_at_a_time():
    left = [(10.0, 1.0), (30.0, 2.0)]  # 1.75 GB are held by each, in the mean over time
    few = loaded(left, 5.0, Grant(8, 3.5, 0, ()))
    assert few.at_a_time == 2.0
    assert few.wall_seconds == START_SECONDS + 20.0
    assert few.memory_gb == 3.5 + MAIN_GB
    assert "limited by memory" in few.why
    many = loaded(left, 35.0, Grant(8, 64.0, 0, ()))
    assert many.wall_seconds == START_SECONDS + 35.0  # no more than its longest chain allows
    assert many.memory_gb == 16.0 + MAIN_GB
    nothing = loaded([], 0.0, GRANT)
    assert (nothing.cpu_seconds, nothing.wall_seconds, nothing.memory_gb) == (0.0, 0.0, 0.0)


def test_a_visit_takes_its_reference_and_then_its_longest_other_scan(settings):
    (visit, *_) = select(settings).visits
    seconds = {"T1w_wf.brain": 10.0, "T1w_wf.bias": 5.0, "FLAIR_wf.brain": 12.0, "ct_wf.brain": 3.0}
    forecast = Forecast(
        visit, UNKNOWN, seconds={f"participant.sub_01.{node}": time for node, time in seconds.items()}
    )
    assert longest_chain(forecast) == 27.0


def test_seconds_grow_with_the_image_and_those_measured_here_come_first(tmp_path):
    node = "participant.sub_01.FLAIR_wf.resample"
    small, large = (step_seconds(node, {"FLAIR": 1.0, "": grid}, {}) for grid in (1.0, 10.0))
    assert 0 < small < large
    for number, seconds in enumerate((1.0, 9.0, 4.0)):
        folder = tmp_path / f"participant/sub_0{number}/FLAIR_wf/resample"
        folder.mkdir(parents=True)
        (folder / USAGE_FILE).write_text(json.dumps({"peak_gb": 0.2, "cpu_s": seconds}))
    own = own_seconds(tmp_path)
    assert own == {("FLAIR", "resampling"): 4.0}
    assert step_seconds(node, {"FLAIR": 1.0, "": 1.0}, own) == 4.0
