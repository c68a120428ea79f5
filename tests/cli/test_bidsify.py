"""The command ``synthprep-bidsify``."""

import subprocess
import sys

import pytest

from bidsapp.cli.bidsify import main

from ..fabricated import image, tree, write_dicom, write_nifti
from .test_main import HEAVY


@pytest.fixture
def source(tmp_path):
    write_nifti(tmp_path / "source/patient01/T1W.nii.gz", *image(seed=1))
    write_nifti(tmp_path / "source/patient01/FLAIR.nii.gz", *image(seed=2))
    write_nifti(tmp_path / "source/patient01/lesion_mask.nii.gz", *image(seed=3))
    return tmp_path / "source"


def test_a_guess_is_shown_and_converted_only_when_it_is_agreed_to(source, tmp_path, capsys):
    root = tmp_path / "bids"
    assert main([str(source), str(root), "--guess"]) == 0
    said = capsys.readouterr()
    assert said.out == (
        "source\tparticipant\tsession\tcontrast\n"
        "patient01/FLAIR.nii.gz\t01\tn/a\tFLAIR\n"
        "patient01/T1W.nii.gz\t01\tn/a\tT1w\n"
    )
    assert "left out: patient01/lesion_mask.nii.gz" in said.err
    assert not root.exists()
    assert main([str(source), str(root), "--guess", "--yes"]) == 0
    assert len(list(root.rglob("*.nii.gz"))) == 2
    # What was shown can be mended and given back.
    (tmp_path / "map.tsv").write_text(said.out.replace("\t01\t", "\tA7\t"))
    mended = tmp_path / "mended"
    assert main([str(source), str(mended), "--mapping", str(tmp_path / "map.tsv")]) == 0
    assert (mended / "participants.tsv").read_text() == "participant_id\nsub-A7\n"


@pytest.mark.parametrize("how", ["guess", "mapping"])
def test_the_name_of_the_source_folder_reaches_no_file_at_the_root(source, tmp_path, how):
    secret, root = source.rename(tmp_path / "Planted_Jane"), tmp_path / "study"
    (tmp_path / "map.tsv").write_text(
        "source\tparticipant\tsession\tcontrast\npatient01/T1W.nii.gz\t01\tn/a\tT1w\n"
    )
    words = {"guess": ["--guess", "--yes"], "mapping": ["--mapping", str(tmp_path / "map.tsv")]}[how]
    assert main([str(secret), str(root), *words]) == 0
    text = {path.name: path.read_text() for path in root.iterdir() if path.is_file()}
    assert '"Name": "study"' in text["dataset_description.json"]
    assert text["README.md"].startswith("# study\n")
    assert not [name for name in text if "Planted" in text[name]]


@pytest.mark.parametrize("numbers", [(3,), (3, 4)])
def test_the_source_may_be_the_folder_of_slices_itself(numbers, tmp_path, capsys):
    pytest.importorskip("dcm2niix")
    folder = tmp_path / "patient07"
    for number in numbers:
        words = {3: "t1 mprage", 4: "t2 flair"}[number]
        write_dicom(folder / str(number), *image(seed=number), number=number, description=words)
        for path in (folder / str(number)).iterdir():
            path.rename(folder / f"{number}-{path.name}")
        (folder / str(number)).rmdir()
    assert main([str(folder), str(tmp_path / "bids"), "--guess"]) == 0
    said = capsys.readouterr().out
    sources = {line.split("\t")[0] for line in said.splitlines()[1:]}
    assert sources == ({"."} if len(numbers) == 1 else {"#3", "#4"})
    (tmp_path / "map.tsv").write_text(said)
    assert main([str(folder), str(tmp_path / "bids"), "--mapping", str(tmp_path / "map.tsv")]) == 0
    images = {path.name for path in (tmp_path / "bids/sub-07/anat").glob("*.nii.gz")}
    assert images == {f"sub-07_{contrast}.nii.gz" for contrast in ("T1w", "FLAIR")[: len(numbers)]}


def test_a_recipe_brings_name_licence_and_columns(tmp_path):
    tree(tmp_path / "ixi", "IXI", [{"T1w": image(seed=1), "T2w": image(seed=2)}, {"T1w": image(seed=3)}])
    assert main([str(tmp_path / "ixi"), str(tmp_path / "bids"), "--recipe", "ixi"]) == 0
    text = (tmp_path / "bids/dataset_description.json").read_text()
    assert '"Name": "IXI"' in text
    assert '"License": "CC-BY-SA-3.0"' in text
    table = (tmp_path / "bids/participants.tsv").read_text()
    assert table == "participant_id\tsite\nsub-IXI001\tHH\nsub-IXI002\tIOP\n"


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        ([], 64, "one of the arguments --mapping --recipe --guess is required"),
        (["--guess", "--recipe", "IXI"], 64, "not allowed with"),
        (["--recipe", "IXI", "--yes"], 64, "--yes goes with --guess"),
        (["--guess", "--subjects", "x"], 64, "--subjects goes with --recipe"),
        (["--recipe", "HCP"], 64, "no recipe HCP"),
        (["--recipe", "OpenNeuro"], 64, "BIDS already"),
        (["--recipe", "IXI"], 66, "nothing among 3 files"),
        (["--mapping", "nowhere.tsv"], 64, "cannot be read"),
    ],
)
def test_usage(source, tmp_path, capsys, words, status, reason):
    assert main([str(source), str(tmp_path / "bids"), *words]) == status
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "bids").exists()


def test_an_empty_or_missing_source_is_told(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), str(tmp_path / "bids"), "--guess"]) == 66
    assert main([str(tmp_path / "none"), str(tmp_path / "bids"), "--guess"]) == 64
    assert "no such folder" in capsys.readouterr().err
    (tmp_path / "scan.nii").write_bytes(b"")
    assert main([str(tmp_path / "scan.nii"), str(tmp_path / "bids"), "--guess"]) == 64
    assert "scan.nii: a file, not a folder" in capsys.readouterr().err


@pytest.mark.parametrize(("others", "status"), [(True, 1), (False, 65)])
def test_damaged_slices_are_refused_and_not_left_out(source, tmp_path, capsys, others, status):
    folder = source if others else tmp_path / "slices"
    (folder / "patient02").mkdir(parents=True)
    for name in ("IM0", "IM1"):
        (folder / "patient02" / name).write_bytes(
            bytes(128) + b"DICM" if name == "IM0" else b"the scanner was down"
        )
    for words in (["--guess"], ["--guess", "--yes"]):
        assert main([str(folder), str(tmp_path / "bids"), *words]) == status
        said = capsys.readouterr()
        assert "refused: " in said.err
        assert bool(said.out) == (others and "--yes" not in words)
    assert len(list((tmp_path / "bids").rglob("*.nii.gz"))) == 2 * others


def test_the_reason_is_told_where_nothing_is_left(tmp_path, capsys):
    write_nifti(tmp_path / "source/anna/t1_mask.nii", *image())
    reason = "anna/t1_mask.nii: named like a mask, a map or another kind of series"
    assert main([str(tmp_path / "source"), str(tmp_path / "bids"), "--guess"]) == 66
    assert reason in capsys.readouterr().err
    write_nifti(tmp_path / "ixi/IXI002-Guys-0828-DTI-03.nii.gz", *image())
    assert main([str(tmp_path / "ixi"), str(tmp_path / "bids"), "--recipe", "IXI"]) == 66
    assert "IXI002-Guys-0828-DTI-03.nii.gz: " in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_or_made_ends_in_a_line(source, tmp_path, capsys):
    long = tmp_path / ("x" * 300)
    assert main([str(long), str(tmp_path / "bids"), "--guess"]) == 74
    assert main([str(source), str(long), "--guess", "--yes"]) == 73
    said = capsys.readouterr().err.splitlines()
    assert [line.count("File name too long") for line in said if "stopped" in line] == [1, 1]


@pytest.mark.parametrize("command", ["bidsify", "slices"])
def test_help_loads_nothing_heavy(command):
    heavy = sorted({*HEAVY, "pydicom", "tifffile"})
    code = (
        f"import sys; from bidsapp.cli.{command} import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
