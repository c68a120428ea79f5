from html.parser import HTMLParser

import pytest

from bidsapp.reports.records import Figure, VisitReport
from bidsapp.reports.visit import write_visit_report, write_visit_verdict

VOID = {"meta", "img", "br", "link", "hr"}


class Page(HTMLParser):
    """Text, attributes and balance of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.links = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data.strip())


T1W = {
    "filename": "anat/sub-01_desc-preproc_T1w.nii.gz",
    "contrast": "T1w",
    "brain_volume_ml": 1423.44,
    "mask_dice": None,
    "rotation_deg": 0.0,
    "scale_offset": 612.34,
    "flags": "",
}
FLAIR = {
    "filename": "anat/sub-01_space-T1w_desc-preproc_FLAIR.nii.gz",
    "contrast": "FLAIR",
    "brain_volume_ml": 1398.1,
    "mask_dice": 0.95129,
    "scale_offset": 402.3,
    "flags": "registration failed",
    "new_measure": 7.25,
}


def write(path, **changes):
    values = {"visit": "sub-01", "version": "1.2.3", "rows": [T1W, FLAIR], "decisions": {"T1w": []}}
    return write_visit_report(VisitReport(**{**values, **changes}), path)


def test_the_page_says_every_number_with_its_unit(tmp_path):
    page = Page(write(tmp_path / "sub-01.html").read_text(encoding="utf-8"))
    for word in (
        "T1w",
        "FLAIR",
        "1423",
        "1398",
        "0.951",
        "612.3",
        "402.3",
        "registration failed",
        "7.25",
        "n/a",
        "0.00",
        "none",
    ):
        assert word in page.words
    assert {"Brain volume, mL", "new_measure", T1W["filename"], FLAIR["filename"]} <= set(page.words)
    assert "SynthPrep 1.2.3, participant level" in page.words


def test_what_is_not_our_text_is_escaped(tmp_path):
    evil = "<script>alert('x')</script>"
    path = write(
        tmp_path / "p.html",
        visit=evil,
        flags=[evil],
        decisions={evil: [evil]},
        methods=evil,
        outputs=[evil],
        rows=[{"contrast": evil, evil: evil}],
        figures=[Figure(evil, evil, evil)],
    )
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 10


def test_flags_come_first_and_are_counted(tmp_path):
    text = write(tmp_path / "p.html", flags=["moved by 40 mm", "no brain"]).read_text(encoding="utf-8")
    assert "2 things were flagged" in text
    assert 0 < text.index("moved by 40 mm") < text.index("Quality numbers")
    assert "Nothing was flagged" not in text


def test_a_clean_visit_says_so(tmp_path):
    text = write(tmp_path / "p.html").read_text(encoding="utf-8")
    assert "Nothing was flagged" in text
    assert "Look before you use" not in text


@pytest.mark.parametrize("sloppy", [True, False])
def test_a_coarse_run_is_said_loudly(tmp_path, sloppy):
    text = write(tmp_path / "p.html", sloppy=sloppy).read_text(encoding="utf-8")
    assert ("not for analysis" in text) is sloppy


def test_figures_outputs_and_methods(tmp_path):
    figure = Figure("Brain mask", "Red is the mask.", "sub-01/figures/sub-01_desc-brain_T1w.svg")
    path = write(
        tmp_path / "p.html",
        figures=[figure],
        methods="First.\n\nSecond part.",
        outputs=["sub-01/anat/a b.nii.gz"],
        decisions={"T1w": ["sform used"], "FLAIR": []},
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert page.links == [figure.path, figure.path, "sub-01/anat/a%20b.nii.gz"]
    assert {"First.", "Second part.", "Red is the mask.", "sform used", "Used as it is."} <= set(page.words)


def test_the_page_needs_nothing_from_elsewhere_and_repeats_to_the_byte(tmp_path):
    first, second = (write(tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second
    assert b"http" not in first
    assert b"<script" not in first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_the_verdict_on_a_synthesized_image_replaces_an_older_one(tmp_path):
    path = write_visit_report(VisitReport("sub-01", "1.2.3", [T1W], {}), tmp_path / "sub-01.html")
    plain = path.read_text(encoding="utf-8")
    image = "sub-01/anat/sub-01_desc-synth_FLAIR.nii.gz"
    write_visit_verdict(path, image, "reject", ["T1w is noisier than the training set's: by <much>"])
    text = path.read_text(encoding="utf-8")
    assert "Synthesized image: reject." in text
    assert "should not be used" in text
    assert "by &lt;much&gt;" in text
    assert image in Page(text).links
    write_visit_verdict(path, image, "trust", [])
    text = path.read_text(encoding="utf-8")
    assert ("reject" in text, "Synthesized image: trust." in text) == (False, True)
    assert text.count("Synthesized image") == 1
    assert len(text) > len(plain)
    write_visit_verdict(tmp_path / "none.html", image, "trust", [])
    assert not (tmp_path / "none.html").exists()
