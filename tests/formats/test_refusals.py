"""What is no image ends in one clear error each, in little memory, with nothing half written."""

import gzip
import tracemalloc
import zipfile

import nibabel as nib
import numpy as np
import pytest

from bidsapp.cli.bidsify import main
from bidsapp.errors import DataError
from bidsapp.formats import limits
from bidsapp.formats.reading import read_volume
from bidsapp.formats.volume import ReadOptions

from ..fabricated import (
    image,
    write_analyze,
    write_metaimage,
    write_minc2,
    write_nifti,
    write_nrrd,
    write_parrec,
)

DATA, AFFINE = image()
ZEROS = 200 << 20


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def nifti_header(shape):
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header["dim"][: len(shape) + 1] = [len(shape), *shape]
    header["pixdim"][1:4] = 2
    header["vox_offset"], header["magic"] = 352, b"n+1"
    return header.binaryblock + bytes(4)


def zipped(folder):
    with zipfile.ZipFile(folder / "a.nii", "w") as archive:
        archive.writestr("b.nii", b"0" * 5000)
    return folder / "a.nii"


def written(path, content):
    path.write_bytes(content)
    return path


def packed(path, content):
    """Write a gzip file of some bytes and two hundred million zeros."""
    with gzip.open(path, "wb", 1) as file:
        file.write(content)
        for _ in range(ZEROS >> 20):
            file.write(bytes(1 << 20))
    return path


def metaimage_bomb(folder):
    import zlib

    path = write_metaimage(folder / "a.mha", DATA, AFFINE)
    head = path.read_bytes().split(b"LOCAL\n")[0] + b"LOCAL\n"
    stream = zlib.compressobj(1)
    body = b"".join(stream.compress(bytes(1 << 20)) for _ in range(ZEROS >> 20)) + stream.flush()
    return written(path, head + body)


def missing(path):
    path.unlink()


def pair_without_voxels(folder):
    path = write_parrec(folder / "a.PAR", DATA, AFFINE)
    missing(path.with_suffix(".REC"))
    return path


def outside_of_its_folder(folder):
    path = write_metaimage(folder / "a.mhd", DATA, AFFINE)
    return written(path, path.read_bytes().replace(b"a.raw", b"../secret.raw"))


def longer(path, content=b"x" * 20):
    """Put bytes that no header speaks of before the voxels."""
    path.write_bytes(content + path.read_bytes())


CASES = {
    "a raw MetaImage with an unexplained header": (
        lambda f: (write_metaimage(f / "a.mhd", DATA, AFFINE, packed=False), longer(f / "a.raw"))[0],
        "20 bytes more than the 3360",
    ),
    "a raw NRRD that is longer": (
        lambda f: written(
            f / "a.nrrd", write_nrrd(f / "b.nrrd", DATA, AFFINE, packed=False).read_bytes() + b"x" * 20
        ),
        "20 bytes more than the 3360",
    ),
    "a truncated raw NRRD": (
        lambda f: cut(write_nrrd(f / "a.nrrd", DATA, AFFINE, packed=False), 0.8),
        "truncated: ",
    ),
    "a truncated NIfTI": (lambda f: cut(write_nifti(f / "a.nii", DATA, AFFINE)), "truncated"),
    "a truncated NIfTI, packed": (
        lambda f: cut(write_nifti(f / "a.nii.gz", DATA, AFFINE)),
        "truncated or damaged",
    ),
    "a truncated header": (lambda f: cut(write_nifti(f / "a.nii", DATA, AFFINE), 0.03), "no NIfTI"),
    "a truncated MetaImage": (
        lambda f: cut(write_metaimage(f / "a.mha", DATA, AFFINE), 0.8),
        "truncated|fewer bytes",
    ),
    "a truncated raw MetaImage": (
        lambda f: cut(write_metaimage(f / "a.mha", DATA, AFFINE, packed=False), 0.8),
        "truncated: ",
    ),
    "a truncated NRRD": (lambda f: cut(write_nrrd(f / "a.nrrd", DATA, AFFINE), 0.8), "truncated|fewer bytes"),
    "a truncated MINC": (lambda f: cut(write_minc2(f / "a.mnc", DATA, AFFINE)), "truncated or damaged MINC"),
    "a truncated REC": (
        lambda f: (cut(write_parrec(f / "a.PAR", DATA, AFFINE).with_suffix(".REC")), f / "a.PAR")[1],
        "truncated: ",
    ),
    "a PAR without its REC": (pair_without_voxels, r"\.REC file is missing"),
    "a truncated MGZ": (
        lambda f: (nib.save(nib.MGHImage(DATA, AFFINE), f / "a.mgz"), cut(f / "a.mgz"))[1],
        "truncated or damaged",
    ),
    "a truncated Analyze": (
        lambda f: (cut(write_analyze(f / "a.hdr", DATA).with_suffix(".img")), f / "a.hdr")[1],
        "truncated: ",
    ),
    "a zip archive": (zipped, "a zip archive, not an image"),
    "a web page": (lambda f: written(f / "a.nii", b"<!DOCTYPE html><html>log in</html>" * 40), "a web page"),
    "a web page, packed": (
        lambda f: written(f / "a.nii.gz", gzip.compress(b"\n<html>404</html>" * 40)),
        "a web page",
    ),
    "a pointer of git-annex": (
        lambda f: written(f / "a.nii.gz", b"/annex/objects/SHA256E-s1--0.nii.gz\n"),
        "content not fetched",
    ),
    "an empty file": (lambda f: written(f / "a.nii.gz", b""), "empty"),
    "text": (lambda f: written(f / "a.mha", b"the scanner was down"), "no MetaImage"),
    "an MGZ called NIfTI": (
        lambda f: (nib.save(nib.MGHImage(DATA, AFFINE), f / "b.mgh"), (f / "b.mgh").rename(f / "a.nii"))[1],
        "no NIfTI",
    ),
    "a NRRD called NIfTI": (
        lambda f: write_nrrd(f / "b.nrrd", DATA, AFFINE).rename(f / "a.nii"),
        "is NRRD, but its name says NIfTI",
    ),
    "a bomb": (lambda f: packed(f / "a.nii.gz", nifti_header((12, 14, 10))), "unpacks to more than"),
    "a bomb in MetaImage": (metaimage_bomb, "more bytes than the 3360"),
    "a bomb in NRRD": (
        lambda f: written(
            f / "a.nrrd",
            write_nrrd(f / "b.nrrd", DATA, AFFINE).read_bytes().split(b"\n\n")[0]
            + b"\n\n"
            + packed(f / "c.gz", b"").read_bytes(),
        ),
        "more bytes than the 3360",
    ),
    "more voxels than memory": (
        lambda f: written(f / "a.nii", nifti_header((30000, 30000, 30000))),
        "are the limit",
    ),
    "more voxels than bytes": (
        lambda f: written(f / "a.nii.gz", gzip.compress(nifti_header((600, 600, 600)))),
        "truncated: ",
    ),
    "a negative shape": (
        lambda f: written(f / "a.nii", nifti_header((-5, 6, 7)) + bytes(5000)),
        "dim|shape|negative",
    ),
    "voxels outside the folder": (outside_of_its_folder, "outside its folder"),
    "a constant image": (lambda f: write_nifti(f / "a.nii", DATA * 0 + 7, AFFINE), "constant image"),
    "nothing but NaN": (
        lambda f: write_nifti(f / "a.nii", np.full(DATA.shape, np.nan, np.float32), AFFINE),
        "100% of the voxels are NaN",
    ),
    "numbers beyond float32": (
        lambda f: write_nifti(f / "a.nii", DATA.astype(np.float64) * 1e300, AFFINE),
        "which float32 cannot hold",
    ),
    "a packed NIfTI called .nii": (
        lambda f: write_nifti(f / "b.nii.gz", DATA, AFFINE).rename(f / "a.nii"),
        r"is packed by gzip, but its name lacks \.gz",
    ),
    "a plain NIfTI called .nii.gz": (
        lambda f: write_nifti(f / "b.nii", DATA, AFFINE).rename(f / "a.nii.gz"),
        r"is not packed, but its name has \.gz",
    ),
    "a picture": (lambda f: written(f / "a.nii", b"\x89PNG\r\n\x1a\n" + bytes(400)), "a PNG picture"),
}


@pytest.mark.parametrize("what", CASES)
def test_one_clear_error_and_nothing_half_written(tmp_path, capsys, what):
    source = tmp_path / "source"
    source.mkdir()
    make, reason = CASES[what]
    path = make(source)
    with pytest.raises(DataError, match=reason) as error:
        read_volume(path, ReadOptions(handedness="radiological"))
    assert path.name.split(".")[0] in error.value.message
    assert error.value.hint
    (tmp_path / "map.tsv").write_text(f"source\tparticipant\tsession\tcontrast\n{path.name}\t01\tn/a\tT1w\n")
    words = [str(source), str(tmp_path / "bids"), "--mapping", str(tmp_path / "map.tsv")]
    assert main([*words, "--handedness", "radiological"]) == 65
    refused, last = capsys.readouterr().err.splitlines()
    assert refused.startswith("synthprep-bidsify: refused: ")
    assert last.endswith("0 converted, 0 there already, 1 refused: " + f"{tmp_path / 'bids'} [exit 65]")
    assert not (tmp_path / "bids").exists()


@pytest.mark.parametrize("what", ["a bomb", "a bomb in MetaImage", "a bomb in NRRD", "more voxels than memory"])
def test_what_a_file_claims_costs_no_memory(tmp_path, what):
    make, _ = CASES[what]
    path = make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_volume(path, ReadOptions())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6


def test_a_packed_minc_is_unpacked_to_a_limit(tmp_path, monkeypatch):
    path = write_minc2(tmp_path / "a.mnc", DATA, AFFINE)
    path = written(tmp_path / "b.mnc.gz", gzip.compress(path.read_bytes()))
    monkeypatch.setattr(limits, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match="unpacks to more than 1000 bytes"):
        read_volume(path, ReadOptions())


def test_a_dangling_link_is_told_from_a_missing_file(tmp_path):
    (tmp_path / "a.nii.gz").symlink_to(tmp_path / ".git/annex/objects/x")
    with pytest.raises(DataError, match="content not fetched"):
        read_volume(tmp_path / "a.nii.gz", ReadOptions())
    with pytest.raises(DataError, match="no such file"):
        read_volume(tmp_path / "b.nii.gz", ReadOptions())
