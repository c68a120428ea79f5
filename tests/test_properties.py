"""What holds for every label, word and setting, not only for those that somebody thought of."""

import dataclasses
import re
import string
from contextlib import suppress
from pathlib import Path, PurePosixPath

import nibabel as nib
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bidsapp.bids import names
from bidsapp.bids.raw import complaint, entities_of, named_images
from bidsapp.bids.scans import FILE_NAME
from bidsapp.bids.sink import write_tsv
from bidsapp.cli.parser import settings_from
from bidsapp.config import read_toml
from bidsapp.errors import AppError, DataError
from bidsapp.imaging.headers import check_header
from bidsapp.records import Scan, Visit
from bidsapp.settings import Settings
from bidsapp.text import read_table
from bidsapp.workflows.nodes import visit_name

LABELS = st.text(string.ascii_letters + string.digits + "+", min_size=1, max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VISITS = st.builds(Visit, LABELS, st.none() | LABELS, st.just(()))
ENTITIES = st.dictionaries(st.sampled_from(["acq", "ce", "rec", "run", "part"]), LABELS, max_size=3)


@given(VISITS, ENTITIES, st.sampled_from(["T1w", "FLAIR", "ct"]))
def test_every_output_stays_in_its_visits_folder_and_can_be_read_back(visit, entities, contrast):
    scan = Scan(Path("x"), contrast, entities)
    for name in (names.preproc, names.normalized, names.brain_mask, names.transform):
        path = PurePosixPath(name(visit, scan, "T1w"))
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert path.parts[0] == f"sub-{visit.subject}"
        assert len(path.parts) == (4 if visit.session else 3)
        assert {**entities_of(str(path)), **entities} == entities_of(str(path))
    assert FILE_NAME.fullmatch(PurePosixPath(names.preproc(visit, scan, "T1w")).name)["contrast"] == contrast


@given(st.lists(VISITS, min_size=2, max_size=4, unique=True))
def test_no_two_visits_share_a_work_folder(visits):
    found = [visit_name(visit) for visit in visits]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"\w+", name) for name in found)


@given(TEXTS, TEXTS)
def test_whatever_a_file_is_called_it_is_named_or_left_out(subject, label):
    subject, label = subject.replace("/", "_"), label.replace("/", "_")
    path = f"/raw/sub-{subject}/anat/sub-{subject}_acq-{label}_T1w.nii.gz"
    for kept in named_images(Path("/raw"), [path]):
        entities = entities_of(kept)
        assert re.fullmatch("[A-Za-z0-9+]+", entities["sub"])
        scan = Scan(Path(kept), "T1w", {k: v for k, v in entities.items() if k != "sub"})
        if not complaint(scan):
            out = names.preproc(Visit(entities["sub"], None, ()), scan, "T1w")
            assert re.fullmatch(r"[A-Za-z0-9+_./-]+", out)
            assert ".." not in PurePosixPath(out).parts


@given(
    st.lists(
        st.sampled_from(["--participant-label", "--source", "--mem", "--plan", "-d", "-w"]) | TEXTS, max_size=6
    )
)
def test_any_words_are_settings_or_an_error_of_ours(words):
    with suppress(AppError, SystemExit):
        settings_from(["/nowhere", "/tmp/nowhere/out", "participant", *words])  # noqa: S108 - nothing is written


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), TEXTS.filter(lambda t: "\r" not in t)), max_size=4))
def test_a_table_is_read_as_it_was_written(tmp_path_factory, rows):
    path = write_tsv(rows, tmp_path_factory.getbasetemp() / "t.tsv", ["a", "b"])
    assert read_table(path) == [{name: row.get(name) or "n/a" for name in ("a", "b")} for row in rows]


SETTINGS = st.builds(
    Settings,
    bids_dir=TEXTS.map(Path),
    output_dir=TEXTS.map(Path),
    levels=st.just(("group",)),
    participant_label=st.lists(TEXTS, max_size=3).map(tuple),
    plan=st.lists(TEXTS, max_size=3).map(tuple),
    match_to=st.none() | TEXTS,
    mem_gb=st.none() | st.floats(allow_nan=False),
    seed=st.integers(-(2**63), 2**63 - 1),
    sloppy=st.booleans(),
)


@given(SETTINGS)
def test_settings_come_back_from_their_file(tmp_path_factory, settings):
    path = tmp_path_factory.getbasetemp() / "settings.toml"
    path.write_text(settings.to_toml(), encoding="utf-8", newline="")
    assert Settings(**read_toml(path)) == dataclasses.replace(settings)


ANGLES = (
    st.floats(-1.25, 1.25, width=32) | st.integers(-16, 48).map(lambda n: 1 + n * 2**-22) | st.floats(width=32)
)


@given(ANGLES, ANGLES | st.just(0.0), st.integers(-1, 5), st.integers(-1, 5), st.sampled_from([1, 2]))
def test_whatever_the_quaternion_a_file_is_used_or_refused_by_name(tmp_path_factory, c, d, qcode, scode, version):
    kind = nib.Nifti1Image if version == 1 else nib.Nifti2Image
    image = kind(np.zeros((34, 36, 38), np.uint8), np.diag([3.0, 3, 3, 1]))
    content = bytearray(image.to_bytes())
    header = kind.header_class(bytes(content[: kind.header_class.sizeof_hdr]))
    header["quatern_c"], header["quatern_d"], header["qform_code"], header["sform_code"] = c, d, qcode, scode
    content[: kind.header_class.sizeof_hdr] = header.binaryblock
    path = tmp_path_factory.getbasetemp() / "scan.nii"
    path.write_bytes(content)
    with suppress(DataError):
        shape, affine = check_header(path, memory_gb=1.0)
        assert shape == (34, 36, 38)
        assert np.abs(affine[:3, :3] @ affine[:3, :3].T - 9 * np.eye(3)).max() < 1e-4
