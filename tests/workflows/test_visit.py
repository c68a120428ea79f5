"""The graph: what it consists of, what it declares, what it says of itself."""

import logging
from pathlib import Path

import pytest

from bidsapp.records import Scan, Visit
from bidsapp.settings import Settings
from bidsapp.workflows.nodes import sink_node, visit_name
from bidsapp.workflows.visit import init_run_wf, init_visit_wf


@pytest.fixture
def visit(tmp_path):
    anat = tmp_path / "raw/sub-01/ses-A/anat"
    scans = tuple(Scan(anat / f"sub-01_ses-A_{c}.nii.gz", c) for c in ("T1w", "FLAIR"))
    return Visit("01", "A", scans)


@pytest.fixture
def settings(tmp_path):
    def settings(**changes):
        return Settings(tmp_path / "raw", tmp_path / "out", ("participant",), **changes)

    return settings


def test_every_node_declares_threads_and_memory(settings, visit):
    workflow = init_visit_wf(settings(), visit)
    nodes = [workflow.get_node(name) for name in workflow.list_node_names()]
    working = [node for node in nodes if node.name not in {"inputnode", "outputnode"}]
    assert len(working) == 10 + 9  # head and tissue classes of the T1w, registration of the FLAIR
    assert {node.n_procs for node in working} == {1}
    assert all(0.1 < node.mem_gb < 3 for node in working)


def test_only_what_is_not_the_reference_is_registered(settings, visit):
    names = init_visit_wf(settings(), visit).list_node_names()
    assert [name for name in names if name.endswith("register")] == ["FLAIR_wf.register"]


def test_an_image_is_interpolated_once(settings, visit):
    names = init_visit_wf(settings(), visit).list_node_names()
    assert sorted(name for name in names if "resample" in name) == ["FLAIR_wf.resample", "T1w_wf.resample"]


@pytest.mark.parametrize(
    ("sloppy", "words"),
    [
        (False, ["1 mm isotropic", "3 fitting", "ANTs [@ants] at two levels"]),
        (True, ["3 mm isotropic", "1 fitting", "one coarse level"]),
    ],
)
def test_methods_say_what_was_really_used(settings, visit, sloppy, words):
    text = init_visit_wf(settings(sloppy=sloppy), visit).visit_desc()
    assert all(word in text for word in words)
    assert text.count("Rigid registration to the T1w aligned the FLAIR by mutual information") == 1


def test_the_bias_field_reaches_the_sink_only_where_it_was_asked_for(settings, visit):
    for asked in (False, True):
        workflow = init_visit_wf(settings(write_bias_field=asked), visit).get_node("T1w_wf")
        fields = workflow._graph.get_edge_data(workflow.get_node("bias"), workflow.get_node("sink"))
        assert (fields is not None) is asked


def test_given_masks_and_transforms_replace_the_search(settings, visit, tmp_path):
    stem = tmp_path / "theirs/sub-01/ses-A/anat/sub-01_ses-A_"
    files = [f"{stem}desc-brain_mask.nii.gz", f"{stem}from-FLAIR_to-T1w_mode-image_xfm.txt"]
    stem.parent.mkdir(parents=True)
    for file in files:
        Path(file).touch()
    given = settings(skull_strip="precomputed", derivatives=(f"theirs={tmp_path / 'theirs'}",))
    workflow = init_visit_wf(given, visit)
    brains = [workflow.get_node(f"{c}_wf.brain").inputs for c in ("T1w", "FLAIR")]
    assert (brains[0].given, [brain.method for brain in brains]) == (files[0], ["precomputed", "deepbet"])
    assert workflow.get_node("FLAIR_wf.register").inputs.given == files[1]
    assert "The transform of the FLAIR to the T1w was given" in workflow.visit_desc()


def test_a_run_names_what_it_is_given_and_what_it_was_to_be_given(settings, visit, tmp_path, caplog):
    folder = tmp_path / "theirs/sub-01/ses-A/anat"
    folder.mkdir(parents=True)
    for name in ("desc-brain_mask", "desc-preproc_FLAIR"):
        (folder / f"sub-01_ses-A_{name}.nii.gz").touch()
    chosen = {"skull_strip": "precomputed", "bias_correction": "precomputed"}
    with caplog.at_level(logging.INFO):
        init_run_wf(settings(derivatives=(f"theirs={tmp_path / 'theirs'}",), **chosen), [visit], 8.0)
    t1w, flair = (scan.path for scan in visit.scans)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == [
        f"{t1w}: its mask is {folder}/sub-01_ses-A_desc-brain_mask.nii.gz",
        f"{flair}: its image is {folder}/sub-01_ses-A_desc-preproc_FLAIR.nii.gz",
    ]
    ours = "no dataset of --derivatives has its"
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{t1w}: {ours} preprocessed image for --bias-correction precomputed: N4 corrects the acquired one",
        f"{flair}: {ours} brain mask for --skull-strip precomputed: deepbet finds the brain",
    ]


def test_every_contrast_is_carried_to_a_standard_space_from_where_it_was_acquired(settings, visit):
    workflow = init_visit_wf(settings(output_spaces=("T1w", "MNI152NLin2009aSym")), visit)
    spaces = [name for name in workflow.list_node_names() if name.startswith("spaces_wf") and "_in" not in name]
    assert sorted(spaces) == ["spaces_wf.FLAIR_write", "spaces_wf.T1w_write", "spaces_wf.templates"]
    graph = workflow._create_flat_graph()
    (flair,) = (node for node in graph if node.name == "FLAIR_write")
    (given,) = (node for node in graph if node.name == "FLAIR_in")
    assert {edge[0].name for edge in graph.in_edges(flair)} == {"FLAIR_in", "templates"}
    (scan,) = {edge[0] for edge in graph.in_edges(given)}
    steps = {edge[0].name for edge in graph.in_edges(scan)}
    assert {"bias", "register", "brain"} <= steps
    assert "MNI152NLin2009aSym" in workflow.visit_desc()


def test_an_aligned_scan_is_told_which_scan_the_reference_is(settings, visit):
    graph = init_visit_wf(settings(), visit)._create_flat_graph()
    links = [
        (one.fullname, other.fullname)
        for one, other, link in graph.edges(data=True)
        if any(to == "reference_fingerprint" for _, to in link["connect"])
    ]
    assert [other.rpartition(".")[2] for _, other in links] == ["sink"]


def test_visits_have_their_own_folders(settings, visit):
    other = Visit("02", None, (Scan(Path("/x/sub-02_T1w.nii.gz"), "T1w"),))
    workflow = init_run_wf(settings(work_dir=Path("/w")), [visit, other], 8.0)
    assert {name.split(".")[0] for name in workflow.list_node_names()} == {"sub_01_ses_A", "sub_02"}
    assert sink_node(other, other.scans[0]) == "participant.sub_02.T1w_wf.sink"


def test_labels_with_a_plus_name_graphs_of_their_own(settings, tmp_path):
    scans = (Scan(tmp_path / "x_T1w.nii.gz", "T1w"),)
    visits = [Visit("0+2", "A+", scans), Visit("02", "A+", scans), Visit("0+2", None, scans)]
    assert [visit_name(visit) for visit in visits] == ["sub_0_2b_2_ses_A_2b_", "sub_02_ses_A_2b_", "sub_0_2b_2"]
    workflow = init_run_wf(settings(), visits, 8.0)
    assert len({name.split(".")[0] for name in workflow.list_node_names()}) == 3
