"""The commands of docs/convert.md work as they stand there, in their order."""

import re
import shlex
from pathlib import Path

import nibabel as nib
import pytest

from bidsapp.cli import bidsify, slices
from bidsapp.records import Scan, Visit

from .derived import write_visit
from .fabricated import ct_head, image, tree, write_analyze, write_dicom, write_metaimage, write_nifti

PAGE = (Path(__file__).parents[1] / "docs/convert.md").read_text(encoding="utf-8")
MAINS = {"synthprep-bidsify": bidsify.main, "synthprep-slices": slices.main}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Everything that the page's commands name."""
    pytest.importorskip("dcm2niix")
    monkeypatch.chdir(tmp_path)
    here = Path()
    pair = {"T1w": image(seed=1), "FLAIR": image(seed=2)}
    tree(here / "ixi", "IXI", [{"T1w": image(seed=1), "T2w": image(seed=2)}])
    tree(here / "kirby", "Kirby21", [pair])
    (here / "people.tsv").write_text("scan\tparticipant\tsession\nKKI2009-01\t849\t1\n")
    for contrast, of in pair.items():
        write_nifti(here / f"scans/patient01/{contrast}.nii.gz", *of)
    for number in (3, 4):
        write_dicom(here / f"clinic/dicom/mr/{number}", *image(seed=number), number=number)
    write_dicom(here / "clinic/dicom/ct", *ct_head(), modality="CT")
    write_analyze(here / "clinic/old/head.hdr", image()[0])
    write_metaimage(here / "clinic/export/flair.mha", *image())
    (table,) = re.findall(r"```\n(source .*?)```", PAGE, re.S)
    rows = [line.split() for line in table.splitlines()]
    (here / "table.tsv").write_text("\n".join("\t".join(row) for row in rows) + "\n")
    data, affine = ct_head()
    write_dicom(here / "tilted/case7/CT", data, affine, modality="CT", step=affine[:3, 2] + [0, 1, 0])
    tree(here / "cts", "CQ500", [{"ct": ct_head()}])
    visit = Visit("01", None, (Scan(None, "T1w"), Scan(None, "FLAIR")))
    write_visit(here / "derivatives", visit, shape=(10, 12, 14))
    for mask in here.glob("derivatives/**/*_desc-brain_mask.nii.gz"):
        nib.save(nib.Nifti1Image(abs(nib.load(mask).get_fdata()) * 0 + 1, nib.load(mask).affine), mask)
    return here


def test_every_command_of_the_page_does_what_it_says(folder):
    commands = re.findall(r"^\$ (.*)$", PAGE, re.M)
    assert len(commands) == 10
    for line in commands:
        program, *words = shlex.split(line)
        assert MAINS[program](words) == 0, line
    made = {path.as_posix() for path in folder.glob("bids-*/**/*.nii.gz")}
    assert made == {
        "bids-ixi/sub-IXI001/anat/sub-IXI001_T1w.nii.gz",
        "bids-ixi/sub-IXI001/anat/sub-IXI001_T2w.nii.gz",
        "bids-kirby/sub-849/ses-1/anat/sub-849_ses-1_T1w.nii.gz",
        "bids-kirby/sub-849/ses-1/anat/sub-849_ses-1_FLAIR.nii.gz",
        "bids-scans/sub-01/anat/sub-01_T1w.nii.gz",
        "bids-scans/sub-01/anat/sub-01_FLAIR.nii.gz",
        "bids-clinic/sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz",
        "bids-clinic/sub-01/ses-A/ct/sub-01_ses-A_ct.nii.gz",
        "bids-clinic/sub-02/ses-A/anat/sub-02_ses-A_T1w.nii.gz",
        "bids-clinic/sub-02/ses-A/anat/sub-02_ses-A_FLAIR.nii.gz",
        "bids-tilted/sub-7/ct/sub-7_ct.nii.gz",
        "bids-cts/sub-CQ500CT1/ct/sub-CQ500CT1_acq-PLAINTHIN_ct.nii.gz",
    }
    assert len(list(folder.glob("images/**/*.nii.gz"))) == 2


def test_recipes_and_page_name_the_same_datasets():
    from bidsapp.formats.recipes import recipe_names

    table = (Path(__file__).parents[1] / "docs/datasets.md").read_text(encoding="utf-8")
    named = {*re.findall(r"--recipe (\w+)", table), "OpenNeuro"}
    assert named == set(recipe_names())
