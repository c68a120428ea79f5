"""``--boilerplate-only``: what the text says follows the options, and cites and names all that is used."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from bidsapp.cli.main import main
from bidsapp.reports.references import works
from bidsapp.reports.software import PACKAGES
from bidsapp.settings import AUGMENTATIONS, BIAS_CORRECTIONS, LOSSES, NETWORKS, NORMALIZATIONS, SKULL_STRIPPERS

ROOT = Path(__file__).parents[1]
# Nothing that a result depends on: templates of pages, the terminal, settings files; and readers of other formats.
UNTOLD = {"h5py", "jinja2", "markdown-it-py", "pyyaml", "rich", "tifffile", "tomli-w"}


@pytest.fixture
def dataset(tmp_path):
    """A dataset of two visits, one without FLAIR; nobody opens its images."""
    root = tmp_path / "raw"
    for subject, contrasts in {"01": ("T1w", "FLAIR"), "02": ("T1w",)}.items():
        anat = root / f"sub-{subject}/anat"
        anat.mkdir(parents=True)
        for contrast in contrasts:
            (anat / f"sub-{subject}_{contrast}.nii.gz").touch()
    (root / "sub-01/ct").mkdir()
    (root / "sub-01/ct/sub-01_ct.nii.gz").touch()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    return root


@pytest.fixture
def written(dataset, tmp_path, capsys):
    """Return a function that writes the text of options, and returns it with its BibTeX keys."""

    def written(*words, levels=("participant", "group")):
        out = tmp_path / "out"
        assert main([str(dataset), str(out), *levels, "--boilerplate-only", *words]) == 0
        assert capsys.readouterr().err.rstrip().endswith("2 selected [exit 0]")
        text = (out / "logs/CITATION.md").read_text(encoding="utf-8")
        body = text.partition("## References")[0]
        entries = (out / "logs/CITATION.bib").read_text(encoding="utf-8")
        assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
            "CITATION.bib",
            "CITATION.html",
            "CITATION.md",
        ]
        return body, re.findall(r"^@\w+\{(\w+),", entries, re.MULTILINE)

    return written


def keys_in(text):
    return {key for group in re.findall(r"\[(@[^\]]+)\]", text) for key in group.replace("@", "").split("; ")}


def test_two_runs_with_other_options_have_texts_that_differ_where_the_options_do(written):
    first, first_keys = written("--max-steps", "500")
    options = ("--skull-strip", "template", "--normalization", "nyul", "--registration", "affine")
    learned = ("--network", "dynunet", "--loss", "mse", "--augmentation", "none", "--epochs", "3", "--no-baseline")
    second, second_keys = written(*options, *learned, "--bias-correction", "none", "--synth-space", "native")
    for text, other, sentences in (
        (
            first,
            second,
            (
                "The brain was found on the T1w and the FLAIR with deepbet",
                "was estimated by N4 [@n4]",
                "Rigid registration to the T1w aligned the FLAIR",
                "A 3D U-Net [@unet] of residual blocks [@resnet] (unet) with batch normalization [@batchnorm] and "
                "16–32–64 channels",
                "mean absolute errors of intensities and of differences",
                "for 500 steps in each fold",
                "contrast, brightness and noise of the sources varied",
                "the network of an earlier article [@reinhold]",
                "on the common grid of the visit, with the typical",
            ),
        ),
        (
            second,
            first,
            (
                "The brain was found on the T1w and the FLAIR by a template [@mni2009]",
                "No bias field was corrected on the T1w and the FLAIR",
                "Registration with 12 degrees of freedom to the T1w aligned the FLAIR",
                "A U-Net after nnU-Net [@nnunet] (dynunet)",
                "mean squared error",
                "for 3 epochs in each fold",
                "Training patches were not varied",
                "landmarks of the cohort [@nyul1999; @nyul2000]",
                "on the acquired reference's grid",
            ),
        ),
    ):
        for sentence in sentences:
            assert sentence in text
            assert sentence not in other
    assert {"deepbet", "n4", "unet", "resnet"} <= set(first_keys) - set(second_keys)
    assert {"mni2009", "nnunet", "monai", "nyul1999", "nyul2000"} <= set(second_keys) - set(first_keys)
    assert all("desc-synth_FLAIR is synthetic" in text for text in (first, second))


@pytest.mark.parametrize(
    "words",
    [
        *(("--skull-strip", name) for name in SKULL_STRIPPERS if name != "precomputed"),
        *(("--normalization", name) for name in NORMALIZATIONS if name != "none"),
        *(("--network", name) for name in NETWORKS),
        *(("--bias-correction", name) for name in BIAS_CORRECTIONS if name != "precomputed"),
        ("--network", "seed-resnet", "--norm", "spectral"),
        ("--target", "ct", "--loss", "l1+gradient+bone"),
        ("--output-spaces", "MNI152NLin2009aSym:res-2"),
        ("--lr", "auto", "--ema", "0.05", "--export", "onnx"),
        ("--model", "T1w-to-FLAIR_phantom"),
        ("--init-from", "T1w-to-FLAIR_phantom"),
    ],
)
def test_every_citation_has_its_entry_and_every_entry_its_citation(written, words):
    text, keys = written(*words)
    assert keys_in(text) == set(keys)
    assert len(keys) == len(set(keys)) >= 25


def test_every_package_that_is_used_is_named_with_the_version_that_is_installed(written):
    text = "".join(
        written(*words)[0]
        for words in (
            ("--output-spaces", "MNI152NLin2009aSym", "--network", "segresnet", "--export", "onnx"),
            ("--skull-strip", "robex"),
        )
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [word for name in ("onnx", "robex") for word in project["optional-dependencies"][name][:1]]
    needed = {re.match(r"[\w-]+", word)[0] for word in (*project["dependencies"], *optional)} - UNTOLD
    assert needed == PACKAGES.keys()
    for name in needed:
        called, key = PACKAGES[name]
        assert f"{called} {version(name)} [@{key}]" in text
        assert key in works()


@pytest.mark.parametrize(("option", "values"), [("--loss", LOSSES[:-1]), ("--augmentation", AUGMENTATIONS)])
def test_each_value_of_an_option_has_words_of_its_own(written, option, values):
    assert len({written(option, value, levels=("participant", "group"))[0] for value in values}) == len(values)


def test_minutes_of_one_training_are_told_as_such(written):
    shared = "for the time that 20 minutes for the whole group level leave in each"
    assert shared in written("--max-minutes", "20")[0]
    assert "for 3 minutes in each" in written("--plan", "minutes=3")[0]
    both = "for 500 steps or the time that 20 minutes for the whole group level leave, whichever came first, in"
    assert both in written("--max-minutes", "20", "--max-steps", "500")[0]


def test_the_group_level_alone_tells_of_the_visits_that_were_processed(dataset, tmp_path, capsys):
    words = [str(dataset), str(tmp_path / "out"), "group", "--boilerplate-only"]
    assert main(words) == 66
    assert "no visit was processed there" in capsys.readouterr().err
