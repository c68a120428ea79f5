"""The page of a visit, as a browser sees it."""

import pytest

from bidsapp.reports.checks import bias_figure, flicker_figures
from bidsapp.reports.figures import brain_mask_figure, registration_figure, synthesis_figure
from bidsapp.reports.records import Curve, Figure, ScanStory, VisitReport
from bidsapp.reports.story import scan_figures
from bidsapp.reports.synthesized import Synthesized, write_visit_synthesized
from bidsapp.reports.visit import write_visit_report

from ..browser import Browser
from .test_figures import head
from .test_visit import FLAIR, T1W

pytestmark = pytest.mark.slow
MOVING = "getComputedStyle(document.querySelector('.stage .moving'))"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with every section, of a painted head."""
    out = tmp_path_factory.mktemp("page")
    (image, mask), (other, _) = head(), head(seed=1)
    names = {kind: f"{kind}.svg" for kind in ("brain", "bias", "registration", "fixed", "moving")}
    brain_mask_figure(image, mask, out / names["brain"])
    bias_figure(image, image, image, mask, out / names["bias"])
    registration_figure(image, other, mask, out / names["registration"])
    flicker_figures(image, other, mask, (out / names["fixed"], out / names["moving"]))
    synthesis_figure([image], other, other, image, mask, out / "synth.svg")
    own = {kind: names[kind] for kind in ("brain", "bias")}
    figures = [*scan_figures("T1w", "T1w", own, {}), *scan_figures("FLAIR", "T1w", names, {"MNI": "brain.svg"})]
    header = {"Matrix": "512 × 512 × 192", "Voxels, mm": "0.5 × 0.5 × 1", "Description": "x" * 79}
    long = "sub-01_ses-averylonglabelindeed_acq-" + "high" * 12
    visit = "sub-01_ses-averylonglabelindeed"
    report = VisitReport(
        visit=visit,
        version="1.2.3",
        rows=[T1W, {**FLAIR, "nmi_after": 1.1, "residual_mm": 3.0}],
        decisions={"T1w": ["sform used"], "FLAIR": []},
        flags=["FLAIR: " + "a reason without end " * 12],
        figures=figures,
        methods="Some words. " * 40,
        outputs=[f"sub-01/anat/{long}_T1w.nii.gz"],
        scans=[ScanStory(c, f"sub-01/anat/{long}_{c}.nii.gz", "used", "", header, long) for c in ("T1w", "FLAIR")],
        curves=[Curve(name, "T1w", "robust", 9.0, 2.0, 0.0, 9.0, (0.1, 0.2, 0.1)) for name in (visit, "sub-02")],
        command="synthprep " + long * 9,
        versions={"numpy": "2.0"},
    )
    path = write_visit_report(report, out / "sub-01.html")
    figure = Figure("", "What it shows.", "synth.svg")
    image_path = f"sub-01/anat/{long}_desc-synth_FLAIR.nii.gz"
    scores = {"noise": 1.5}
    write_visit_synthesized(
        path,
        Synthesized(image_path, "FLAIR", "by a fold.", figure, "caution", ["noisier"], scores, {"mae": 0.3}),
    )
    return path


@pytest.fixture(scope="module")
def browser(page):
    with Browser() as browser:
        browser.open(page)
        yield browser


@pytest.mark.parametrize("width", [1400, 390])
def test_everything_is_drawn_and_nothing_overflows(browser, width):
    layout = browser.layout(width)
    assert layout["width"] == width
    assert layout["content"] <= width
    assert (layout["pictures"], layout["lost"], layout["unnamed"]) == (9, [], 0)


def test_nothing_is_asked_for_and_nothing_complained_of(browser):
    assert browser.requests == []
    assert browser.complaints == []


def test_the_browser_lets_nothing_in_from_elsewhere(browser):
    refused = """new Promise(done => {
        const picture = new Image();
        picture.onload = () => done("loaded");
        picture.onerror = () => done("refused");
        picture.src = "http://127.0.0.1:9/x.png";
    })"""
    before = len(browser.events)
    assert browser.evaluate(refused) == "refused"
    del browser.events[before:]  # it complains that its policy was violated, which was the purpose


def test_the_flicker_is_worked_by_keys(browser):
    browser.evaluate("document.querySelector('.flicker input').focus()")
    assert browser.evaluate(f"{MOVING}.opacity") == "0"
    browser.press("ArrowRight", 39)
    assert browser.evaluate("document.activeElement.id") == "show-FLAIR-moving"
    assert browser.evaluate(f"{MOVING}.opacity") == "1"
    assert browser.evaluate(f"{MOVING}.animationName") == "none"
    browser.press("ArrowRight", 39)
    assert browser.evaluate(f"{MOVING}.animationName") == "by-turns"
    browser.press("ArrowRight", 39)
    assert browser.evaluate("document.activeElement.id") == "show-FLAIR-fixed"


def test_nothing_moves_where_little_motion_is_asked_for(browser):
    browser.evaluate("document.querySelector('.show-both').checked = true")
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert browser.evaluate(f"{MOVING}.animationName") == "none"
    assert browser.evaluate("getComputedStyle(document.querySelector('.show-both + label')).display") == "none"
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert browser.evaluate(f"{MOVING}.animationName") == "by-turns"


def test_on_paper_both_images_and_all_details_are_there(browser):
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate(f"{MOVING}.opacity") == "1"
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    heights = "[...document.querySelectorAll('details dl, details ul')].map(e => e.getBoundingClientRect().height)"
    assert min(browser.evaluate(heights)) > 5
    browser.call("Emulation.setEmulatedMedia", media="")


def test_dark_and_light_are_both_legible(browser):
    contrast = """(() => {
        const channels = text => text.match(/[\\d.]+/g).slice(0, 3).map(v => {
            v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
        const light = text => { const [r, g, b] = channels(text); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const paper = light(getComputedStyle(document.body).backgroundColor);
        return Math.min(...["body", ".note", "a", ".bad", ".histogram text"].map(name => {
            const style = getComputedStyle(document.querySelector(name));
            const ink = light(name.includes("text") ? style.fill : style.color);
            return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05); }));
    })()"""
    for scheme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        assert browser.evaluate(contrast) > 4.5  # WCAG 2, level AA
