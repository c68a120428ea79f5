"""The methods text: composed of what every run left, and written in three formats that agree."""

import html
import re
import threading
import time

from bidsapp.bids.sink import write_json
from bidsapp.reports import boilerplate
from bidsapp.reports.boilerplate import (
    Sentence,
    compose,
    readable,
    record_group,
    record_visits,
    text_of,
    write_citation,
)

BRAIN, BIAS = "The brain was found on {scans}.", "The bias field of {scans} was estimated [@n4]."


def said(*contrasts, brain=BRAIN):
    return [
        *(Sentence("brain", contrast, brain) for contrast in contrasts),
        *(Sentence("bias", contrast, BIAS) for contrast in contrasts),
        Sentence("opening", "", "Images were read."),
    ]


def test_contrasts_share_a_sentence_and_steps_have_their_order():
    assert compose({"sub-01": said("T1w", "T2w", "FLAIR")}) == (
        "Images were read.\n\nThe brain was found on the T1w, the T2w and the FLAIR. "
        "The bias field of the T1w, the T2w and the FLAIR was estimated [@n4].\n\n"
    )


def test_what_does_not_hold_for_all_says_for_how_many():
    other = "The brain mask of {scans} was given."
    visits = {"sub-01": said("T1w", "FLAIR"), "sub-02": said("T1w"), "sub-03": said("T1w", brain=other)}
    text = compose(visits)
    assert "The brain was found on the T1w (2 of 3 visits) and the FLAIR." in text
    assert "The brain mask of the T1w (1 of 3 visits) was given." in text
    assert "The bias field of the T1w and the FLAIR was estimated" in text
    visits["sub-04"] = [Sentence("opening", "", "Images were read twice.")]
    assert "Images were read. (Of 3 of 4 visits.) Images were read twice. (Of 1 of 4 visits.)" in compose(visits)


def test_a_step_that_some_visits_lack_says_for_how_many():
    given = [
        Sentence("given", "T1w", "A preprocessed image was given in the place of {scans}."),
        Sentence("brain", "T1w", BRAIN),
        Sentence("spaces", "", "It was registered to a template."),
    ]
    visits = {f"sub-{n:02}": said("T1w", "T1w") for n in range(8)} | {"sub-08": given, "sub-09": given[:2]}
    assert compose(visits) == (
        "Images were read. (Of 8 of 10 visits.)\n\n"
        "A preprocessed image was given in the place of the T1w (2 of 10 visits). "
        "The brain was found on the T1w. "
        "The bias field of the T1w (8 of 10 visits) was estimated [@n4].\n\n"
        "It was registered to a template. (Of 1 of 10 visits.)\n\n"
    )


def test_a_contrast_that_some_visits_lack_is_counted_among_those_that_have_it():
    visits = {"sub-01": said("T1w", "FLAIR"), "sub-02": said("T1w", "FLAIR"), "sub-03": said("T1w")}
    assert "The brain was found on the T1w and the FLAIR. " in compose(visits)
    visits["sub-02"] = [sentence for sentence in visits["sub-02"] if sentence[:2] != ("bias", "FLAIR")]
    assert "The bias field of the T1w and the FLAIR (1 of 2 visits) was estimated" in compose(visits)


def test_runs_on_one_visit_each_leave_a_text_of_all(tmp_path):
    for label in ("sub-01", "sub-02"):
        record_visits(tmp_path, {label: said("T1w")})
    record_group(tmp_path, "T1w-to-FLAIR_unet", "A network was trained [@muon].")
    record_visits(tmp_path, {"sub-02": said("T1w", brain="The brain mask of {scans} was given.")})
    text = text_of(tmp_path)
    assert "(1 of 2 visits)" in text
    assert text.index("## Preprocessing") < text.index("## Synthesis") < text.index("A network")
    assert text in (tmp_path / "logs/CITATION.md").read_text(encoding="utf-8")


def test_a_bundle_whose_images_were_replaced_is_told_of_no_more(tmp_path):
    def applied(bundle, subject):
        sidecar = tmp_path / f"sub-{subject}/ses-1/anat/sub-{subject}_ses-1_desc-synth_FLAIR.json"
        write_json({"Model": {"Name": bundle}}, sidecar)
        record_group(tmp_path, bundle, f"{bundle} was applied.")
        return text_of(tmp_path)

    applied("old", "01")
    assert applied("old", "02") == "## Synthesis\n\nold was applied."
    assert applied("new", "01") == "## Synthesis\n\nnew was applied.\n\nold was applied."
    assert applied("new", "02") == "## Synthesis\n\nnew was applied."
    assert "old" not in (tmp_path / "logs/CITATION.md").read_text(encoding="utf-8")


def test_a_job_that_is_slow_does_not_write_its_older_text_over_a_newer_one(tmp_path, monkeypatch):
    composed = threading.Event()

    def slow(out):
        text = text_of(out)
        if not composed.is_set():
            composed.set()
            time.sleep(1)
        return text

    monkeypatch.setattr(boilerplate, "text_of", slow)
    first = threading.Thread(target=record_visits, args=(tmp_path, {"sub-01": said("T1w")}))
    first.start()
    composed.wait()
    record_visits(tmp_path, {"sub-02": said("FLAIR")})
    first.join()
    assert "The brain was found on the T1w and the FLAIR." in (tmp_path / "logs/CITATION.md").read_text()


def test_a_damaged_part_is_passed_over(tmp_path):
    record_visits(tmp_path, {"sub-01": said("T1w")})
    (tmp_path / "logs/methods/sub-02.json").write_text('{"Sentences": 3}')
    (tmp_path / "logs/methods/group_x.json").write_text("{")
    assert text_of(tmp_path).count("##") == 1


def test_the_three_files_cite_the_same_works(tmp_path):
    text = "## Part\n\nN4 [@n4] & <others> [@ants; @antsx].\n\nAgain [@n4]."
    markdown, page, entries = (
        path.read_text(encoding="utf-8") for path in write_citation(tmp_path, text, "A note.")
    )
    keys = ["n4", "ants", "antsx"]
    assert re.findall(r"^@\w+\{(\w+),", entries, re.MULTILINE) == keys
    assert re.findall(r"^- \*\*(\w+)\*\*: ", markdown, re.MULTILINE) == keys
    assert re.findall(r'<li id="(\w+)">', page) == keys
    assert '[<a href="#ants">2</a>, <a href="#antsx">3</a>]' in page
    assert "&amp; &lt;others&gt;" in page
    assert "A note." in html.unescape(page)
    assert markdown.startswith("# Methods\n\n> A note.\n\n## Part\n\nN4 [@n4]")


def test_a_page_gets_names_and_a_list():
    text = readable("N4 [@n4].\n\nThe end.")
    assert text.startswith(
        "N4 (Tustison et al. 2010).\n\nThe end.\n\nTustison et al. 2010: Tustison NJ, Avants BB"
    )
    assert readable("Nothing is cited.") == "Nothing is cited."
