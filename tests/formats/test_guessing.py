"""Guesses are for a person to read: what they are, and what they leave out."""

from pathlib import Path

import pytest

from bidsapp.errors import NoInputError
from bidsapp.formats.discover import Found
from bidsapp.formats.guessing import NO_LABEL, guess
from bidsapp.formats.names import ENHANCED, NO_CONTRAST, NO_SCAN, POST, T1_FLAIR


def guessed(*names):
    made = guess([Found(Path("/src") / name, name, dicom=False) for name in names])
    return {item.source.relative_to("/src").as_posix(): item.goal for item in made.items}, made.left_out


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("patient01/T1W.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"),
        ("patient01/FLAIR.nii.gz", "sub-01/anat/sub-01_FLAIR.nii.gz"),
        ("patient01/T1WKS.nii.gz", "sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz"),
        ("sub-A1/ses-2/t2_flair.nii", "sub-A1/ses-2/anat/sub-A1_ses-2_FLAIR.nii.gz"),
        ("Smith/visit2/mprage.mnc", "sub-Smith/ses-2/anat/sub-Smith_ses-2_T1w.nii.gz"),
        ("case_07_T2.nrrd", "sub-07/anat/sub-07_T2w.nii.gz"),
        ("x17_pd.mha", "sub-x17/anat/sub-x17_PDw.nii.gz"),
        ("s03/CT/head.nii.gz", "sub-s03/ct/sub-s03_ct.nii.gz"),
        ("s03/t2star.nii.gz", "sub-s03/anat/sub-s03_T2starw.nii.gz"),
        ("anna/session-01/T1.nii", "sub-anna/ses-01/anat/sub-anna_ses-01_T1w.nii.gz"),
        ("anna/Session1/T1.nii", "sub-anna/ses-1/anat/sub-anna_ses-1_T1w.nii.gz"),
        ("anna/ses-baseline/T1.nii", "sub-anna/ses-baseline/anat/sub-anna_ses-baseline_T1w.nii.gz"),
        ("anna/visits/x/T1.nii", "sub-anna/anat/sub-anna_T1w.nii.gz"),
        ("anna/visit_T1.nii", "sub-anna/anat/sub-anna_T1w.nii.gz"),
        ("subject01/T1.nii", "sub-01/anat/sub-01_T1w.nii.gz"),
        ("Subject_03/T1.nii", "sub-03/anat/sub-03_T1w.nii.gz"),
        ("subj04/T1.nii", "sub-04/anat/sub-04_T1w.nii.gz"),
        ("sub-anna_T1.nii", "sub-anna/anat/sub-anna_T1w.nii.gz"),
        ("pt3_T1.nii", "sub-3/anat/sub-3_T1w.nii.gz"),
        ("P1/T1.nii", "sub-1/anat/sub-1_T1w.nii.gz"),
        ("T1_P10.nii", "sub-10/anat/sub-10_T1w.nii.gz"),
        ("philips3T/T1.nii", "sub-philips3T/anat/sub-philips3T_T1w.nii.gz"),
        ("project1/T1.nii", "sub-project1/anat/sub-project1_T1w.nii.gz"),
        ("anna/t1_mprage_sag_p2_iso.nii", "sub-anna/anat/sub-anna_T1w.nii.gz"),
        ("anna/patient_T1.nii", "sub-anna/anat/sub-anna_T1w.nii.gz"),
        ("anna_visit1/T1.nii", "sub-anna/ses-1/anat/sub-anna_ses-1_T1w.nii.gz"),
        ("ses-2/anna_T1.nii", "sub-anna/ses-2/anat/sub-anna_ses-2_T1w.nii.gz"),
        ("anna_T1_gd/scan.nii", "sub-annaT1gd/anat/sub-annaT1gd_ce-gadolinium_T1w.nii.gz"),
        ("pt3_ct1.nii", "sub-3/ct/sub-3_ct.nii.gz"),
        ("T1/anna.nii", "sub-anna/anat/sub-anna_T1w.nii.gz"),
        ("anna/T1_masked.nii", "sub-anna/anat/sub-anna_T1w.nii.gz"),
    ],
)
def test_names(name, goal):
    assert guessed(name)[0] == {name: goal}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "T1_Gd_3D",
            "T1c_axial",
            "T1c",
            "T1_post_mprage",
            "postcontrast_T1",
            "T1_post-contrast",
            "T1+C",
            "T1_KM",
        ),
        *(
            "t1ce",
            "T1gd",
            "T1_ce_ax",
            "mprage_gad",
            "t1_mprage_sag_KM",
            "Gd_T1",
            "ce-gadolinium_T1w",
            "AX T1 POST",
            "ceT1",
            "GDT1",
        ),
    ],
)
def test_a_t1_after_contrast_is_told_from_one_before(name):
    assert guessed(f"s1/{name}.nii")[0] == {f"s1/{name}.nii": "sub-s1/anat/sub-s1_ce-gadolinium_T1w.nii.gz"}


@pytest.mark.parametrize("name", ["T1", "T1_pre_Gd", "T1_no_gd", "T1_post_op", "postop_T1", "T1_cor", "T1_gdansk"])
def test_a_t1_before_contrast_is_no_other(name):
    assert guessed(f"s1/{name}.nii")[0] == {f"s1/{name}.nii": "sub-s1/anat/sub-s1_T1w.nii.gz"}


@pytest.mark.parametrize(
    "name",
    ["CT_post_contrast", "CT_postcontrast", "CT_with_contrast", "CT+C", "CT_c+", "CTA_CT", "ct_angio", "CT_KM"],
)
def test_a_ct_with_a_contrast_agent_is_left_out(name):
    assert guessed("s1/T2.nii", f"s1/{name}.nii")[1] == {ENHANCED: [f"s1/{name}.nii"]}


@pytest.mark.parametrize(
    "name", ["CT", "CT_precontrast", "CT_pre_contrast", "CT_without_contrast", "CT_wo_contrast", "CT_noncontrast"]
)
def test_a_ct_without_one_is_not(name):
    assert guessed(f"s1/{name}.nii")[0] == {f"s1/{name}.nii": "sub-s1/ct/sub-s1_ct.nii.gz"}


@pytest.mark.parametrize("name", ["axT1", "SAGT1", "cort1", "3DT1", "preT1", "sT1W", "brainT1", "MPRAGET1"])
def test_letters_that_may_stand_before_a_contrast(name):
    assert guessed(f"anna/{name}.nii")[0] == {f"anna/{name}.nii": "sub-anna/anat/sub-anna_T1w.nii.gz"}


@pytest.mark.parametrize("word", ["patient1", "pt1", "PAT2", "visit2", "subject1", "part1", "unit2", "CT1"])
def test_a_number_of_somebody_or_a_visit_is_no_contrast(word):
    ((name, goal),) = guessed(f"anna/{word}_CT.nii")[0].items()
    assert (name, goal.endswith("_ct.nii.gz")) == (f"anna/{word}_CT.nii", True)


def test_neither_is_one_in_a_folder_s_name():
    names = ["patient1/stir.nii", "patient2/SWAN.nii", "anna/visit2/SWAN.nii"]
    assert guessed("anna/T1.nii", *names)[1] == {NO_CONTRAST: names}


@pytest.mark.parametrize(
    "name", ["Ax T1 FLAIR", "Sag_T1W_FLAIR", "T1FLAIR", "T1_SAG_FLAIR", "SAG FLAIR T1", "t1_tirm_tra_dark-fluid"]
)
def test_a_t1_flair_is_left_out(name):
    assert guessed("patient2/T2.nii", f"patient2/{name}.nii")[1] == {T1_FLAIR: [f"patient2/{name}.nii"]}


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("T1_and_FLAIR/sub-01_FLAIR", "FLAIR"),
        ("sub-01/FLAIR_to_T1", "FLAIR"),
        ("sub-01/sub-01_space-T1w_FLAIR", "FLAIR"),
        ("sub-01/AXT2FLAIR", "FLAIR"),
        ("sub-01/t2_tirm_tra_dark-fluid", "FLAIR"),
        ("sub-01/t2f", "FLAIR"),
        ("sub-01/T2FSE", "T2w"),
        ("sub-01/Ax_T2FRFSE_FS", "T2w"),
        ("sub-01/T2FS_cor", "T2w"),
    ],
)
def test_a_flair_is_told_from_what_sounds_like_one(name, contrast):
    assert guessed(f"{name}.nii.gz")[0] == {f"{name}.nii.gz": f"sub-01/anat/sub-01_{contrast}.nii.gz"}


@pytest.mark.parametrize("name", ["post_T1", "postT1"])
def test_a_word_that_may_mean_contrast_or_a_time_is_left_out(name):
    assert guessed("s1/T2.nii", f"s1/{name}.nii")[1] == {POST: [f"s1/{name}.nii"]}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "T1_brainmask",
            "FLAIR_lesionmask",
            "T1_segmentation",
            "T1_pveseg",
            "T1_labels",
            "T2map",
            "T1rho",
            "c1T1",
        ),
        *("wc2sub-01_T1", "T1_aseg", "masks/T1", "brain_masks/T1", "segmentations/T1", "T1_seg", "t1_fieldmap"),
    ],
)
def test_masks_and_maps_are_no_scans(name):
    assert guessed("s1/T2.nii", f"s1/{name}.nii")[1] == {NO_SCAN: [f"s1/{name}.nii"]}


def test_the_source_folder_is_one_person_s_where_nothing_below_it_is_a_name():
    def goals(*names):
        made = guess([Found(Path("/data/patient07") / name, name, dicom=False) for name in names])
        return [item.goal for item in made.items]

    assert goals("T1.nii", "FLAIR.nii") == ["sub-07/anat/sub-07_FLAIR.nii.gz", "sub-07/anat/sub-07_T1w.nii.gz"]
    assert goals("visit1/T1.nii", "visit2/T1.nii") == [
        "sub-07/ses-1/anat/sub-07_ses-1_T1w.nii.gz",
        "sub-07/ses-2/anat/sub-07_ses-2_T1w.nii.gz",
    ]


def test_two_names_with_one_label_are_left_out():
    nobody = ["张三/T1.nii", "李四/FLAIR.nii"]
    items, left_out = guessed("Müller/T1.nii", "Möller/T1.nii", *nobody, "anna/T1.nii")
    assert list(items) == ["anna/T1.nii"]
    assert left_out == {
        NO_LABEL: nobody,
        "Möller, Müller would all be sub-Mller: write a mapping": ["Müller/T1.nii", "Möller/T1.nii"],
    }


@pytest.mark.parametrize(
    "names",
    [
        ("philips3T/anna/T1.nii", "philips3T/bert/T1.nii"),
        ("controls/sub-01/T1.nii", "patients/sub-01/T1.nii"),
        ("before/sub-01_T1.nii", "after/sub-01_T1.nii"),
        ("data/anna_T1.nii", "data/bert_T1.nii"),
    ],
)
def test_images_that_may_be_of_several_people_are_no_runs(names):
    items, left_out = guessed("x/T1.nii", *names)
    assert list(items) == ["x/T1.nii"]
    ((reason, left),) = left_out.items()
    assert reason.startswith("images of several folders or names would be runs of sub-")
    assert left == list(names)


@pytest.mark.parametrize(
    "names",
    [
        ("patient01/2019-03-04/T1.nii", "patient01/2020-05-06/T1.nii", "patient01/2020-05-06/FLAIR.nii"),
        ("patient01/20190304/T1.nii", "patient01/20200506/FLAIR.nii"),
        ("patient01/T1_2019.03.04.nii", "patient01/FLAIR_2020_05_06.nii"),
        ("patient01/T1_20190304101523_3.nii", "patient01/FLAIR_20200506090000_4.nii"),
    ],
)
def test_images_of_several_dates_are_no_visit(names):
    items, left_out = guessed("x/T1.nii", *names)
    assert list(items) == ["x/T1.nii"]
    reason = "images of several dates would be one visit of sub-01: write a mapping, with sessions"
    assert left_out == {reason: list(names)}


def test_a_ct_of_another_day_is_of_the_visit():
    items, left_out = guessed("x/T1.nii", "patient01/2019-03-04/T1.nii", "patient01/2019-03-05/CT.nii")
    assert set(items) == {"x/T1.nii", "patient01/2019-03-04/T1.nii", "patient01/2019-03-05/CT.nii"}
    assert not left_out


def test_a_visit_has_one_date_and_visits_have_their_own():
    names = ("patient01/2019-03-04/T1.nii", "patient01/2019-03-04/FLAIR_20190304.nii")
    names += ("patient02/visit1_2019-03-04/T1.nii", "patient02/visit2_2020-05-06/T1.nii")
    items, left_out = guessed(*names)
    assert sorted(items.values()) == [
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz",
        "sub-02/ses-2/anat/sub-02_ses-2_T1w.nii.gz",
    ]
    assert not left_out


def test_contrasts_in_folders_are_of_one_person():
    assert list(guessed("T1/anna.nii", "FLAIR/anna.nii", "T1/bert.nii")[0].values()) == [
        "sub-anna/anat/sub-anna_FLAIR.nii.gz",
        "sub-anna/anat/sub-anna_T1w.nii.gz",
        "sub-bert/anat/sub-bert_T1w.nii.gz",
    ]


def test_what_cannot_be_told_is_left_out_by_reason():
    _, left_out = guessed("s1/t1.nii", "s1/lesion_mask.nii", "s1/brain.nii", "s1/dwi_t2.nii")
    assert left_out == {
        "named like a mask, a map or another kind of series": ["s1/lesion_mask.nii", "s1/dwi_t2.nii"],
        "its contrast could not be told": ["s1/brain.nii"],
    }
    with pytest.raises(NoInputError, match=r"nothing of 1 images could be guessed; brain\.nii: its contrast"):
        guessed("brain.nii")


def test_repeated_contrasts_become_runs():
    assert list(guessed("s1/t1_a.nii", "s1/t1_b.nii")[0].values()) == [
        "sub-s1/anat/sub-s1_run-1_T1w.nii.gz",
        "sub-s1/anat/sub-s1_run-2_T1w.nii.gz",
    ]
