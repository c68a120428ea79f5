"""What is written of standard spaces: no file lies beside a sidecar that tells of another one."""

import json
from collections import Counter
from pathlib import Path

from bidsapp.interfaces.spaces import WriteSpaces
from bidsapp.records import Scan, Space, Visit


def test_transforms_of_the_other_kind_go_with_their_sidecars(tmp_path):
    scan = Scan(Path("/data/raw/sub-01/anat/sub-01_T1w.nii.gz"), "T1w")
    visit, out = Visit("01", None, (scan,)), tmp_path / "out"
    found = str(tmp_path / "to"), str(tmp_path / "from")
    for file in found:
        Path(file).write_text(file)
    for kind, ending, said in (
        ("syn", ".h5", "Affine and symmetric diffeomorphic (SyN)"),
        ("affine", ".txt", "Affine"),
        ("syn", ".h5", "Affine and symmetric diffeomorphic (SyN)"),
    ):
        step = WriteSpaces(out_dir=str(out), raw_dir="/data/raw", reference="T1w", kind=kind)
        step._write_transforms(visit, scan, Space("MNI152NLin2009aSym"), found)
        written = list((out / "sub-01/anat").iterdir())
        assert Counter(path.suffix for path in written) == {ending: 2, ".json": 2}
        assert {json.loads(path.read_text())["Type"] for path in written if path.suffix == ".json"} == {said}
