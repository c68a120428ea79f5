import re
import urllib.parse
from html.parser import HTMLParser

import pytest

from bidsapp.imaging.alignment import MIN_MASK_DICE
from bidsapp.reports.records import Curve, Figure, ScanStory, Trouble, VisitReport
from bidsapp.reports.synthesized import Synthesized, carry_over, write_visit_synthesized
from bidsapp.reports.visit import write_visit_report

VOID = {"meta", "img", "br", "link", "hr", "input"}
SVG = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "" "http://x">\n<svg viewBox="0 0 720 360">\n<g id="é#%"/></svg>'
)


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
    "volume_ratio": 1.024,
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
        "Volume before registration over that after",
        "1.02",
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
        figures=[Figure(evil, evil, evil, kind, evil) for kind in ("bias", "registration", "brain", "space")],
        scans=[ScanStory(evil, evil, "failed", evil, {evil: evil, "Description": evil})],
        troubles=[Trouble(evil, evil, evil)],
        curves=[Curve(evil, evil, evil, 0.0, 1.0, 0.0, 1.0, (0.5, 0.5))],
        command=evil,
        versions={evil: evil},
    )
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 16


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


def test_figures_are_in_the_page_and_outputs_are_linked(tmp_path):
    figure = Figure("Brain mask", "Red is the mask.", "sub-01/figures/brain.svg", "brain", "T1w")
    (tmp_path / "sub-01/figures").mkdir(parents=True)
    (tmp_path / figure.path).write_text(SVG, encoding="utf-8")
    path = write(
        tmp_path / "p.html",
        figures=[figure, Figure("Lost", "", "gone.svg", "bias", "T1w")],
        methods="First.\n\nSecond part.",
        outputs=["sub-01/anat/a b.nii.gz"],
        decisions={"T1w": ["sform used"], "FLAIR": []},
    )
    page = Page(path.read_text(encoding="utf-8"))
    (url,) = (link for link in page.links if link.startswith("data:image"))
    shown = urllib.parse.unquote(url.partition(",")[2])
    assert shown == SVG[SVG.index("<svg") :].replace("\n", " ")
    assert not set(url) & set('"<># \n')
    assert 'width="960" height="480"' in path.read_text()
    links = [link for link in page.links if not link.startswith(("data:", "#"))]
    assert links == ["sub-01/anat/a%20b.nii.gz"]
    assert {"First.", "Second part.", "Red is the mask.", "sform used", "Used as it is."} <= set(page.words)
    assert "gone.svg" in page.words


def test_every_anchor_leads_somewhere(tmp_path):
    text = write(tmp_path / "p.html", methods="m", curves=[curve("sub-01")]).read_text(encoding="utf-8")
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in Page(text).links if link.startswith("#")} <= set(ids)
    assert text.index('class="skip"') < text.index("<nav") < text.index('<main id="main"')


def test_the_page_needs_nothing_from_elsewhere_and_repeats_to_the_byte(tmp_path):
    first, second = (write(tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second
    assert b"://" not in first
    assert b"default-src 'none'" in first
    assert b"<script" not in first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_a_number_beyond_its_limit_is_marked(tmp_path):
    low = {**FLAIR, "mask_dice": MIN_MASK_DICE - 0.1, "edge_contact_cm2": 150.0, "residual_mm": 1.0}
    cut = {**T1W, "edge_contact_cm2": 150.0}
    text = write(tmp_path / "p.html", rows=[cut, low]).read_text(encoding="utf-8")
    # Of the two faces only the reference's is judged.
    assert re.findall(r'class="number bad">([^<]+)', text) == ["150.0", "0.750"]
    for limit in ("250 to 2200", "at most 100", "at least 0.85", "at most 2"):
        assert f'class="limit">limit: {limit}<' in text


def test_what_went_in_and_what_came_out(tmp_path):
    scans = [
        ScanStory("T1w", "sub-01_T1w.nii.gz", "used", "", {"Matrix": "2 × 2"}, "anat/out.nii.gz"),
        ScanStory("FLAIR", "sub-01_FLAIR.nii.gz", "flagged", "Dice 0.2", {"Matrix": "3 × 3"}, "anat/o2.nii.gz"),
        ScanStory("T2w", "sub-01_T2w.nii.gz", "failed", "truncated"),
    ]
    troubles = [Trouble("T2w_wf.header", "truncated", "copy it again")]
    text = write(tmp_path / "p.html", scans=scans, troubles=troubles).read_text(encoding="utf-8")
    words = " ".join(Page(text).words)
    assert "passed" in words
    assert "flagged : Dice 0.2. Not learned from, and not predicted from." in words
    assert "failed : truncated" in words
    assert words.count("truncated") == 2
    assert "What to do: copy it again" in words
    assert {"2 × 2", "3 × 3"} <= set(Page(text).words)


def pair_of_pictures(folder):
    for name in ("fixed", "moving", "registration"):
        (folder / f"{name}.svg").write_text(SVG, encoding="utf-8")
        yield Figure(name, "", f"{name}.svg", name, "FLAIR")


def test_a_registration_flickers_without_a_script_and_shows_its_numbers(tmp_path):
    row = {**FLAIR, "nmi_after": 1.01, "nmi_before": 1.1}
    text = write(tmp_path / "p.html", rows=[T1W, row], figures=list(pair_of_pictures(tmp_path))).read_text()
    part = text[text.index('<section id="registration">') :].partition("</section>")[0]
    assert part.count('type="radio"') == part.count("<label for=") == 3
    assert part.count("<img ") == 3
    assert 'class="number bad">1.010' in part
    assert "FLAIR was flagged:" in part
    assert "prefers-reduced-motion" in text


def curve(visit, offset=100.0, contrast="T1w"):
    return Curve(visit, contrast, "robust", offset, 20.0, offset - 40, offset + 60, (0.0, 0.01, 0.005, 0.0))


def test_histograms_of_all_visits_lie_on_each_other_after_normalization(tmp_path):
    curves = [curve("sub-01"), curve("sub-02", 300.0), curve("sub-03", 300.0, "T2w")]
    text = write(tmp_path / "p.html", curves=curves).read_text(encoding="utf-8")
    lines = re.findall(r'<polyline class="(\w+)" points="([^"]+)"', text)
    assert [kind for kind, _ in lines] == ["other", "own", "other", "own"]
    assert lines[0][1] != lines[1][1]
    assert lines[2][1] == lines[3][1]
    assert "1 other visit." in text


def test_synthesized_images_replace_only_themselves(tmp_path):
    path = write_visit_report(VisitReport("sub-01", "1.2.3", [T1W], {}), tmp_path / "sub-01.html")
    assert "None so far" in path.read_text(encoding="utf-8")
    (tmp_path / "synth.svg").write_text(SVG, encoding="utf-8")
    first = Synthesized(
        "sub-01/anat/sub-01_desc-synth_FLAIR.nii.gz",
        "FLAIR",
        figure=Figure("", "", "synth.svg"),
        label="reject",
        reasons=["T1w is noisier than the training set's: by <much>"],
        scores={"noise": 2.5},
        agreement={"mae": 0.3126, "psnr": None},
        interval={"coverage": 0.91},
    )
    write_visit_synthesized(path, first)
    text = path.read_text(encoding="utf-8")
    assert text.count("Synthesized image: reject.") == 1
    assert text.count("should not be used") == 2
    assert "None so far" not in text
    assert "by &lt;much&gt;" in text
    assert text.count("data:image/svg+xml") == 1
    assert {"0.313", "0.910", "2.50"} <= set(Page(text).words)
    time = path.stat().st_mtime_ns
    write_visit_synthesized(path, first)
    assert path.stat().st_mtime_ns == time
    write_visit_synthesized(path, Synthesized("sub-01/anat/sub-01_desc-synth_T2w.nii.gz", "T2w", label="caution"))
    write_visit_synthesized(path, Synthesized(first.image, "FLAIR", label="trust"))
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"Synthesized image: (\w+)\.", text) == ["trust", "caution"]
    assert text.count("predicted, not acquired") == 2
    assert "reject" not in text.partition("<main")[2]
    Page(text)
    write_visit_synthesized(tmp_path / "none.html", first)
    assert not (tmp_path / "none.html").exists()


def test_a_page_that_is_written_anew_keeps_what_it_said_of_synthesized_images(tmp_path):
    report = VisitReport("sub-01", "1.2.3", [T1W], {})
    path = write_visit_report(report, tmp_path / "sub-01.html")
    carry_over("", path)
    assert "None so far" in path.read_text(encoding="utf-8")
    write_visit_synthesized(path, Synthesized("a_FLAIR.nii.gz", "FLAIR", label="caution", reasons=["noisy"]))
    before = path.read_text(encoding="utf-8")
    write_visit_report(report, path)
    assert "noisy" not in path.read_text(encoding="utf-8")
    carry_over(before, path)
    assert path.read_text(encoding="utf-8") == before
