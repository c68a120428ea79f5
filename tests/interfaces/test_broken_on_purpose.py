"""A registration and a mask that are broken on purpose, from the step that measures them to what is gathered."""

import csv

import numpy as np
import pytest

from bidsapp import participant
from bidsapp.bids.gather import gather
from bidsapp.imaging.transforms import LinearTransform, write_itk
from bidsapp.interfaces.align import Normalize
from bidsapp.interfaces.figures import Draw
from bidsapp.interfaces.output import SinkScan
from bidsapp.interfaces.quality import Measure
from bidsapp.records import Scan, Selection, Visit
from bidsapp.resources import Grant
from bidsapp.settings import Settings
from bidsapp.workflows.execution import Outcome
from bidsapp.workflows.nodes import node_folder, sink_node

IDENTITY = LinearTransform(np.eye(4))


@pytest.fixture
def processed(files, tmp_path, monkeypatch):
    """Return a function that takes a visit through the steps after its registration, and the level to its end.

    It returns the flags of its table, its page, and what is gathered of the visit.
    """
    settings = Settings(tmp_path / "raw", tmp_path / "out", ("participant",))
    anat = settings.bids_dir / "sub-01/anat"
    visit = Visit("01", None, tuple(Scan(anat / f"sub-01_{c}.nii.gz", c) for c in ("T1w", "FLAIR")))

    def sink(scan, image, mask, **aligned):
        steps, transform = tmp_path / f"steps-{scan.contrast}", aligned.get("transform")
        steps.mkdir()
        drawn = {name: file for name, file in aligned.items() if name != "transform"}
        numbers = Measure(mask=mask, scan=image, scan_mask=mask, **aligned).step(steps)["numbers"]
        normal = Normalize(in_file=image, mask=mask).step(steps)
        own = {"transform": transform} if transform else {"head": mask}
        work = node_folder(settings, sink_node(visit, scan))
        work.mkdir(parents=True)
        SinkScan(
            out_dir=str(settings.output_dir),
            raw_dir=str(settings.bids_dir),
            visit=visit,
            contrast=scan.contrast,
            reference="T1w",
            resolution="2 mm",
            found_by="precomputed",
            sloppy=False,
            preproc=image,
            normalized=normal["out_file"],
            mask=mask,
            figures=Draw(image=image, mask=mask, **drawn).step(steps)["figures"],
            histogram=normal["histogram"],
            header={"Matrix": "50 × 50 × 26"},
            scale=normal["scale"],
            numbers=numbers,
            decisions=[],
            fingerprint=scan.contrast * 10,
            grid={"Shape": [50, 50, 26], "Affine": np.eye(4).tolist(), "Code": 1},
            **own,
        ).run(cwd=str(work))

    def processed(shift_mm, reference_mask=None):
        image, mask = files("T1w")
        moving, moving_mask = files("FLAIR", (shift_mm, 0, 0))
        mask = reference_mask or mask
        transform = str(write_itk(IDENTITY, tmp_path / "t.txt"))
        sink(visit.scan("T1w"), image, mask)
        aligned = {"reference": image, "reference_mask": mask, "transform": transform}
        sink(visit.scan("FLAIR"), moving, moving_mask, **aligned)
        outcome = Outcome({sink_node(visit, scan) for scan in visit.scans}, [])
        monkeypatch.setattr(participant, "execute", lambda *_, **__: outcome)
        participant.run(settings, Selection((visit,), ()), Grant(1, 4.0, 0, ()), tmp_path)
        with (settings.output_dir / "sub-01/sub-01_scans.tsv").open(newline="") as file:
            flags = {row["contrast"]: row["flags"] for row in csv.DictReader(file, delimiter="\t")}
        page = (settings.output_dir / "sub-01.html").read_text(encoding="utf-8")
        return flags, page, gather(settings.output_dir, ("T1w",), "FLAIR", "T1w")

    return processed


def test_a_good_visit_is_learned_from(processed):
    flags, page, gathered = processed(0.0)
    assert flags == {"T1w": "n/a", "FLAIR": "n/a"}
    assert "Nothing was flagged" in page
    assert 'class="number bad"' not in page
    assert page.count("data:image/svg+xml") == 5  # two masks, a flicker of two, edges
    assert page.count('class="own"') == 4  # of both contrasts the histogram before and after
    assert gathered.visits[0].pair.target is not None
    assert (gathered.dropped, gathered.skipped) == ((), ())


def test_a_registration_that_slipped_is_said_everywhere_and_not_learned_from(processed):
    flags, page, gathered = processed(25.0)
    assert flags["T1w"] == "n/a"
    assert "brain masks overlap by Dice" in flags["FLAIR"]
    assert "Look before you use this visit" in page
    assert page.count(flags["FLAIR"]) >= 4  # on top, with the scan, beside the pictures, among the warnings
    assert "Not learned from, and not predicted from." in page
    assert 'class="number bad"' in page
    (visit,) = gathered.visits
    assert visit.pair.target is None  # predicted from its T1w, never learned from
    assert [skip.reason for skip in gathered.dropped] == [f"FLAIR not learned from: {flags['FLAIR']}"]


def test_a_mask_that_is_no_brain_leaves_its_visit_out(processed, ball, tmp_path):
    import nibabel as nib

    _, mask = ball()
    small = np.asarray(mask.dataobj).copy()
    small[:, :, :11] = 0
    nib.save(nib.Nifti1Image(small, mask.affine), tmp_path / "small.nii")
    flags, page, gathered = processed(0.0, str(tmp_path / "small.nii"))
    assert "not between 250 and 2200" in flags["T1w"]
    assert page.count(flags["T1w"]) >= 3
    assert "Nothing of this visit is learned from or predicted." in page
    assert gathered.visits == ()
    assert [skip.reason for skip in gathered.skipped] == [f"T1w cannot be trusted: {flags['T1w']}"]
