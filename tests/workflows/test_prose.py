"""What a visit's text says is what its graph does: a sentence for a step that has a node, and for no other."""

from dataclasses import replace
from pathlib import Path

import pytest

from bidsapp.imaging.alignment import Alignment
from bidsapp.records import Scan, Visit
from bidsapp.reports.boilerplate import compose
from bidsapp.settings import Settings
from bidsapp.workflows.prose import sentences_of
from bidsapp.workflows.visit import init_visit_wf

VISIT = Visit(
    "01", None, tuple(Scan(Path(f"/raw/sub-01/anat/sub-01_{c}.nii.gz"), c) for c in ("T1w", "FLAIR", "ct"))
)


def settings(**changes):
    return Settings(Path("/raw"), Path("/out"), ("participant",), contrasts=("ct",), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bias_correction": "none", "skull_strip": "skip"},
        {"reference": "FLAIR", "normalization": "zscore", "resolution": "native"},
        {"output_spaces": ("MNI152NLin2009aSym",), "template_registration": "affine", "sloppy": True},
    ],
)
def test_sentences_and_nodes_are_the_same_steps(changes):
    asked = settings(**changes)
    nodes = init_visit_wf(asked, VISIT).list_node_names()
    said = {(s.step, s.contrast) for s in sentences_of(asked, VISIT) if not s.text.startswith("No bias field")}
    for scan in VISIT.scans:
        for step, node in (
            ("bias", "bias"),
            ("registration", "register"),
            ("grid", "resample"),
            ("brain", "brain"),
        ):
            assert ((step, scan.contrast) in said) is (f"{scan.contrast}_wf.{node}" in nodes), (
                step,
                scan.contrast,
            )
    assert (("tissue", "") in said) is any(name.endswith("_wf.tissue") for name in nodes)
    assert (("spaces", "") in said) is any(name.startswith("spaces_wf.") for name in nodes)


def test_the_graph_tells_of_itself_what_the_text_of_a_run_does():
    asked = settings(output_spaces=("MNI152NLin2009aSym",))
    text = init_visit_wf(asked, VISIT).visit_desc()
    assert text == compose({VISIT.label: sentences_of(asked, VISIT)})
    assert "by symmetric normalization [@syn]" in text
    assert "density [@muschelli]" in text
    assert "Hounsfield units of the ct were divided by 1000" in text


def test_a_registration_is_said_to_be_flagged_for_what_flags_it():
    passed = Alignment(0.95, 1.0, 1.05, 1.15, 0.6, 0.3, 3.0, 2.0, 1.0)
    assert passed.flags == replace(passed, edge_overlap=0.0).flags == ()
    text = compose({VISIT.label: sentences_of(settings(), VISIT)}, [("registration",)])
    for changes, said in (
        ({"residual_mm": 2.1}, "a second search moved the brain by more than 2 mm"),
        ({"mask_dice": 0.84}, "the brain masks did not match"),
        ({"covered": 0.4}, "too little of the brain was in view"),
        ({"nmi_before": 1.0, "nmi_after": 1.01}, "the images shared no information"),
        ({"nmi_after": 1.02}, "or less than before"),
        ({"rotation_deg": 80.0}, "the head was turned"),
        ({"volume_ratio": 0.7}, "or scaled further than heads are"),
    ):
        assert len(replace(passed, **changes).flags) == 1
        assert said in text
    assert "edges" not in text


def test_what_is_given_is_not_said_to_be_found(tmp_path):
    stem = tmp_path / "theirs/sub-01/anat/sub-01_"
    stem.parent.mkdir(parents=True)
    for end in ("desc-brain_mask.nii.gz", "from-FLAIR_to-T1w_mode-image_xfm.txt", "desc-preproc_T1w.nii.gz"):
        Path(f"{stem}{end}").touch()
    given = {"skull_strip": "precomputed", "bias_correction": "precomputed"}
    asked = settings(derivatives=(f"theirs={tmp_path / 'theirs'}",), **given)
    text = compose({VISIT.label: sentences_of(asked, VISIT)})
    for sentence in (
        "A preprocessed image, its bias field gone, was given in the place of the T1w as acquired",
        "The brain mask of the T1w was given",
        "The brain was found on the FLAIR with deepbet",
        "The bias field of the FLAIR was estimated by N4",
        "The transform of the FLAIR to the T1w was given",
        "Rigid registration to the T1w aligned the ct by mutual information on soft tissue",
    ):
        assert sentence in text


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {},
            "Quality numbers of the T1w and the FLAIR follow MRIQC [@mriqc]. "
            "Quality numbers of the ct are of geometry and registration alone.",
        ),
        (
            {"reference": "FLAIR"},
            "Quality numbers of the T1w are of geometry, bias field and registration alone. "
            "Quality numbers of the FLAIR are of geometry and bias field alone. "
            "Quality numbers of the ct are of geometry and registration alone.",
        ),
        (
            {"reference": "FLAIR", "bias_correction": "none"},
            "Quality numbers of the T1w and the ct are of geometry and registration alone. "
            "Quality numbers of the FLAIR are of geometry alone.",
        ),
        (
            {"reference": "FLAIR", "output_spaces": ("MNI152NLin2009aSym",)},
            "Quality numbers of the T1w and the FLAIR are of geometry, bias field and registration alone. "
            "Quality numbers of the ct are of geometry and registration alone.",
        ),
    ],
)
def test_numbers_that_need_tissue_classes_are_told_where_there_are_some(changes, wanted):
    asked = settings(**changes)
    text = compose({VISIT.label: sentences_of(asked, VISIT)}, [("quality",)])
    assert text == f"{wanted}\n\n"
    nodes = init_visit_wf(asked, VISIT).list_node_names()
    assert ("MRIQC" in text) is any(name.endswith("_wf.tissue") for name in nodes)
