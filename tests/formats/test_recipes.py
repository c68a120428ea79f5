"""Recipes name what lies in trees that are named as the datasets are."""

from pathlib import Path

import pytest

from bidsapp.errors import NoInputError, UsageError
from bidsapp.formats.discover import Found, discover
from bidsapp.formats.mapping import check_items
from bidsapp.formats.recipes import apply_recipe, read_recipe, recipe_names

OTHERS = ["notes.txt"]


def sorted_out(recipe, *names, dicom=(), subjects=None):
    found = [Found(Path("/src") / name, name, dicom=name in dicom) for name in (*names, *dicom)]
    made = apply_recipe(read_recipe(recipe), found, subjects)
    check_items(made.items)
    return {item.source.relative_to("/src").as_posix(): item for item in made.items}, made.left_out


def goals(recipe, *names, **words):
    items, left_out = sorted_out(recipe, *names, **words)
    assert not left_out
    return {name: item.goal for name, item in items.items()}


def test_all_recipes_can_be_read():
    assert recipe_names() == sorted(
        ["ADNI", "BraTS", "BrainWeb", "CQ500", "ISBI2015", "IXI", "Kirby21", "OASIS", "OpenNeuro"]
    )
    for name in recipe_names():
        recipe = read_recipe(name.lower())
        assert recipe.about
        assert recipe.license
        assert recipe.rules or recipe.already_bids


def test_ixi():
    names = ("IXI-T1/IXI002-Guys-0828-T1.nii.gz", "IXI-T2/IXI012-HH-1211-T2.nii.gz", "IXI035-IOP-0873-PD.nii.gz")
    items, left_out = sorted_out("ixi", *names, "IXI002-Guys-0828-DTI-03.nii.gz", "IXI002-Guys-0828-MRA.nii.gz")
    assert [items[name].goal for name in names] == [
        "sub-IXI002/anat/sub-IXI002_T1w.nii.gz",
        "sub-IXI012/anat/sub-IXI012_T2w.nii.gz",
        "sub-IXI035/anat/sub-IXI035_PDw.nii.gz",
    ]
    assert [items[name].about for name in names] == [{"site": "Guys"}, {"site": "HH"}, {"site": "IOP"}]
    assert list(left_out.values()) == [["IXI002-Guys-0828-DTI-03.nii.gz"]]


def test_kirby_needs_to_know_whose_scans_they_are(tmp_path):
    names = ("KKI2009-01-MPRAGE.nii", "KKI2009-25-MPRAGE.par", "KKI2009-25-FLAIR.PAR", "x/KKI2009-01-FLAIR.nii.gz")
    with pytest.raises(UsageError, match="42 scans are of 21 people"):
        sorted_out("Kirby21", *names)
    table = tmp_path / "people.tsv"
    table.write_text("scan\tparticipant\tsession\nKKI2009-01\t849\t1\nKKI2009-25\t849\t2\n")
    assert goals("Kirby21", *names, subjects=table) == {
        "KKI2009-01-MPRAGE.nii": "sub-849/ses-1/anat/sub-849_ses-1_T1w.nii.gz",
        "KKI2009-25-MPRAGE.par": "sub-849/ses-2/anat/sub-849_ses-2_T1w.nii.gz",
        "KKI2009-25-FLAIR.PAR": "sub-849/ses-2/anat/sub-849_ses-2_FLAIR.nii.gz",
        "x/KKI2009-01-FLAIR.nii.gz": "sub-849/ses-1/anat/sub-849_ses-1_FLAIR.nii.gz",
    }
    _, left_out = sorted_out("Kirby21", *names, "KKI2009-02-FLAIR.nii", "KKI2009-01-DTI.par", subjects=table)
    assert list(left_out) == [
        "scan KKI2009-02 is not in the table of --subjects",
        "no anatomical contrast, or several volumes of a map",
    ]


def test_brainweb_s_lesions_lie_in_its_normal_head():
    names = (
        "t1_icbm_normal_1mm_pn3_rf20.mnc.gz",
        "t2_ai_msles2_1mm_pn0_rf0.mnc",
        "pd_icbm_normal_3mm_pn9_rf40.mnc",
        "subject04_t1w_p4.mnc.gz",
    )
    assert goals("BrainWeb", *names) == {
        names[0]: "sub-icbm/ses-icbmnormal/anat/sub-icbm_ses-icbmnormal_acq-1mmpn3rf20_T1w.nii.gz",
        names[1]: "sub-icbm/ses-aimsles2/anat/sub-icbm_ses-aimsles2_acq-1mmpn0rf0_T2w.nii.gz",
        names[2]: "sub-icbm/ses-icbmnormal/anat/sub-icbm_ses-icbmnormal_acq-3mmpn9rf40_PDw.nii.gz",
        names[3]: "sub-subject04/anat/sub-subject04_T1w.nii.gz",
    }
    _, left_out = sorted_out("BrainWeb", *names, "phantom_1.0mm_normal_crisp.mnc.gz", "subject04_gm_v.mnc.gz")
    assert list(left_out) == ["anatomical truth is no image of a contrast"]


def test_brats_of_all_years():
    old = "HGG/brats_2013_pat0001_1/VSD.Brain.XX.O.MR_{0}.5451/VSD.Brain.XX.O.MR_{0}.5451.mha"
    names = {
        old.format("T1"): "sub-HGGbrats2013pat00011/anat/sub-HGGbrats2013pat00011_T1w.nii.gz",
        old.format("T1c"): "sub-HGGbrats2013pat00011/anat/sub-HGGbrats2013pat00011_ce-gadolinium_T1w.nii.gz",
        old.format("T2"): "sub-HGGbrats2013pat00011/anat/sub-HGGbrats2013pat00011_T2w.nii.gz",
        old.format("Flair"): "sub-HGGbrats2013pat00011/anat/sub-HGGbrats2013pat00011_FLAIR.nii.gz",
        "LGG/Brats18_2013_0_1/Brats18_2013_0_1_t1.nii.gz": "sub-Brats18201301/anat/sub-Brats18201301_T1w.nii.gz",
        "LGG/Brats18_2013_0_1/Brats18_2013_0_1_t1ce.nii.gz": "sub-Brats18201301/anat/"
        "sub-Brats18201301_ce-gadolinium_T1w.nii.gz",
        "BraTS20_Training_001/BraTS20_Training_001_flair.nii": "sub-BraTS20Training001/anat/"
        "sub-BraTS20Training001_FLAIR.nii.gz",
        "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz": "sub-BraTSGLI00000/ses-000/anat/"
        "sub-BraTSGLI00000_ses-000_T1w.nii.gz",
        "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2w.nii.gz": "sub-BraTSGLI00000/ses-000/anat/"
        "sub-BraTSGLI00000_ses-000_T2w.nii.gz",
    }
    assert goals("BraTS", *names) == names
    items, left_out = sorted_out(
        "BraTS",
        *names,
        "HGG/brats_2013_pat0001_1/VSD.Brain_3more.XX.O.OT.54517/VSD.Brain_3more.XX.O.OT.54517.mha",
        "LGG/Brats18_2013_0_1/Brats18_2013_0_1_seg.nii.gz",
    )
    assert [len(names) for names in left_out.values()] == [2]
    assert items[old.format("T1")].about == {"grade": "HGG"}
    assert all(item.sidecar == {"SkullStripped": True} for item in items.values())


def test_a_number_of_brats_2013_is_another_patient_in_each_grade():
    old = "{0}/brats_2013_pat0001_1/VSD.Brain.XX.O.MR_T1.{1}/VSD.Brain.XX.O.MR_T1.{1}.mha"
    made = goals("BraTS", old.format("HGG", 54513), old.format("LGG", 54632))
    assert [goal.split("/")[0] for goal in made.values()] == [
        "sub-HGGbrats2013pat00011",
        "sub-LGGbrats2013pat00011",
    ]


def test_a_folder_of_both_grades_tells_none():
    test = "BRATS2015_Testing/HGG_LGG/{}/VSD.Brain.XX.O.MR_T1.40193/VSD.Brain.XX.O.MR_T1.40193.mha"
    items, left_out = sorted_out("BraTS", *map(test.format, ("brats_2013_pat0103_1", "brats_tcia_pat101_0001")))
    assert [(item.participant, item.session, item.about) for item in items.values()] == [
        ("brats2013pat01031", None, {}),
        ("bratstciapat101", "0001", {}),
    ]
    assert not left_out


def test_time_points_of_brats_are_of_one_participant():
    old = "{0}/VSD.Brain.XX.O.MR_T1.354/VSD.Brain.XX.O.MR_T1.354.mha"
    new = "ASNR-MICCAI-BraTS2023/{0}/{0}-t1n.nii.gz"
    made = goals(
        "BraTS",
        *(old.format(f"HGG/brats_tcia_pat153_{when}") for when in ("0002", "0181")),
        *(new.format(f"BraTS-{whose}") for whose in ("GLI-00005-100", "GLI-00005-101", "MET-00005-000")),
        new.format("BraTS-GoAT-00012"),
    )
    assert sorted(made.values()) == [
        "sub-BraTSGLI00005/ses-100/anat/sub-BraTSGLI00005_ses-100_T1w.nii.gz",
        "sub-BraTSGLI00005/ses-101/anat/sub-BraTSGLI00005_ses-101_T1w.nii.gz",
        "sub-BraTSGoAT00012/anat/sub-BraTSGoAT00012_T1w.nii.gz",
        "sub-BraTSMET00005/ses-000/anat/sub-BraTSMET00005_ses-000_T1w.nii.gz",
        "sub-bratstciapat153/ses-0002/anat/sub-bratstciapat153_ses-0002_T1w.nii.gz",
        "sub-bratstciapat153/ses-0181/anat/sub-bratstciapat153_ses-0181_T1w.nii.gz",
    ]


def test_isbi():
    names = (
        "training/training01/orig/training01_02_mprage.nii.gz",
        "testdata_website/test03/orig/test03_04_pd.nii.gz",
    )
    items, left_out = sorted_out(
        "ISBI2015",
        *names,
        "training/training01/preprocessed/training01_02_flair_pp.nii",
        "training/training01/masks/training01_02_mask1.nii",
    )
    assert [item.goal for item in items.values()] == [
        "sub-test03/ses-04/anat/sub-test03_ses-04_PDw.nii.gz",
        "sub-training01/ses-02/anat/sub-training01_ses-02_T1w.nii.gz",
    ]
    assert len(left_out) == 2


def test_cq500():
    names = (
        "CQ500CT0 CQ500CT0/Unknown Study/CT PLAIN THIN",
        "CQ500CT17 CQ500CT17/Unknown Study/CT PRE CONTRAST 5MM STD",
    )
    dropped = (
        "CQ500CT0 CQ500CT0/Unknown Study/CT 4cc sec 150cc D3D on",
        "CQ500CT1 CQ500CT1/Unknown Study/CT POST CONTRAST",
    )
    items, left_out = sorted_out("cq500", dicom=(*names, *dropped))
    assert [items[name].goal for name in names] == [
        "sub-CQ500CT0/ct/sub-CQ500CT0_acq-PLAINTHIN_ct.nii.gz",
        "sub-CQ500CT17/ct/sub-CQ500CT17_acq-PRECONTRAST5MMSTD_ct.nii.gz",
    ]
    assert sorted(left_out.popitem()[1]) == sorted(dropped)


def test_oasis():
    names = (
        "disc1/OAS1_0001_MR1/RAW/OAS1_0001_MR1_mpr-1_anon.hdr",
        "OAS2_0001_MR2/RAW/mpr-2.nifti.hdr",
        "OAS30001_MR_d0129/anat4/NIFTI/sub-OAS30001_ses-d0129_run-02_T1w.nii.gz",
        "OAS30001_MR_d0129/anat1/NIFTI/sub-OAS30001_sess-d0129_FLAIR.nii.gz",
    )
    items, left_out = sorted_out("OASIS", *names, "OAS1_0001_MR1/PROCESSED/MPRAGE/SUBJ_111/OAS1_0001_MR1_x.hdr")
    assert [items[name].goal for name in names] == [
        "sub-OAS10001/ses-MR1/anat/sub-OAS10001_ses-MR1_run-1_T1w.nii.gz",
        "sub-OAS20001/ses-MR2/anat/sub-OAS20001_ses-MR2_run-2_T1w.nii.gz",
        "sub-OAS30001/ses-d0129/anat/sub-OAS30001_ses-d0129_run-02_T1w.nii.gz",
        "sub-OAS30001/ses-d0129/anat/sub-OAS30001_ses-d0129_FLAIR.nii.gz",
    ]
    assert (items[names[0]].handedness, items[names[0]].plane) == ("radiological", "sagittal")
    assert list(left_out) == ["processed copies: the acquired images are taken"]


def test_adni_sessions_are_numbers_and_no_dates():
    files = (
        "ADNI/002_S_0295/MP-RAGE/2007-04-18_08_20_30.0/S13408/ADNI_002_S_0295_MR_MP-RAGE__br_raw_x_I45107.nii",
        "ADNI/002_S_0295/MP-RAGE/2006-11-02_08_16_44.0/S23128/ADNI_002_S_0295_MR_MP-RAGE__br_raw_x_I45108.nii",
    )
    dicom = ("ADNI/002_S_0295/Axial_FLAIR/2007-04-18_08_20_30.0/I13722",)
    assert list(goals("ADNI", *files, dicom=dicom).values()) == [
        "sub-002S0295/ses-1/anat/sub-002S0295_ses-1_T1w.nii.gz",
        "sub-002S0295/ses-2/anat/sub-002S0295_ses-2_FLAIR.nii.gz",
        "sub-002S0295/ses-2/anat/sub-002S0295_ses-2_T1w.nii.gz",
    ]
    processed = "ADNI/002_S_0295/MPR__GradWarp__B1_Correction__N3/2006-11-02_08_16_44.0/S2/a.nii"
    _, left_out = sorted_out("ADNI", *files, processed)
    assert left_out == {"no anatomical contrast, or a processed copy: the acquired images are taken": [processed]}


def test_openneuro_is_bids_already(tmp_path):
    with pytest.raises(UsageError, match="OpenNeuro is BIDS already"):
        apply_recipe(read_recipe("OpenNeuro"), [])
    (tmp_path / "dataset_description.json").write_text("{}")
    with pytest.raises(UsageError, match="is a BIDS dataset already"):
        discover(tmp_path)


def test_another_dataset_is_told(tmp_path):
    with pytest.raises(NoInputError, match="nothing among 1 files is named as in IXI"):
        sorted_out("IXI", "scan.nii.gz")
    with pytest.raises(UsageError, match="no recipe HCP"):
        read_recipe("HCP")


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    rule = '[[scan]]\nmatch = "(?P<participant>P[0-9]+)_(?P<what>T[12]w)"\ncontrast = "{what}"\n'
    path.write_text(f'name = "mine"\nabout = "x"\nlicense = "CC0"\n{rule}')
    assert goals(str(path), "P1_T1w.nii", "P1_T2w.nii") == {
        "P1_T1w.nii": "sub-P1/anat/sub-P1_T1w.nii.gz",
        "P1_T2w.nii": "sub-P1/anat/sub-P1_T2w.nii.gz",
    }
    path.write_text(path.read_text().replace("P[0-9]+", "[^/]+"))
    items, left_out = sorted_out(str(path), "Möller_T1w.nii", "Müller_T1w.nii", "张_T1w.nii")
    assert [item.participant for item in items.values()] == ["Mller"]
    assert left_out == {
        "Müller would be sub-Mller, as Möller: write a mapping": ["Müller_T1w.nii"],
        "张 would be sub-, as 张: write a mapping": ["张_T1w.nii"],
    }
    for wrong in ("x = 1", "[[scan]]\nmatch='a'\ncontrast='T1w'", "[[scan]]\nmatch='('\ncontrast='T1w'", "[["):
        path.write_text(f'name = "mine"\nabout = "x"\nlicense = "CC0"\n{wrong}')
        with pytest.raises(UsageError, match="no recipe"):
            read_recipe(str(path))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("contrast = 'T1w'\nhandedness = 'Radiological'", "handedness is 'Radiological', not radiological or"),
        ("contrast = 'T1w'\nplane = 'axial'", "plane is 'axial', not transverse or"),
        ("contrast = 'T1w'\nvolume = '1'", "volume is '1', not a whole number"),
        ("contrast = 'T1w'\nvolume = -1", "volume is -1"),
        ("contrast = 'T1w'\nsidecar = 'SkullStripped'", "sidecar is 'SkullStripped', not a table"),
        ("contrast = 'T1w'\nsidecar = { EchoTime = nan }", "JSON compliant"),
        ("contrast = 'T1w'\ndicom = 'true'", "dicom is 'true'"),
        ("contrast = 'T1w'\nparticipant = 'P_1'", "participant is 'P_1', not letters and digits"),
        ("contrast = '{suffx}'", "{suffx} names {suffx}, but its match has participant, suffix"),
        ("contrast = '{}'", "{} names {}"),
        ("contrast = '{suffix.upper}'", "names {suffix.upper}"),
        ("contrast = '{suffix:d}'", "Unknown format code"),
        ("contrast = 'T1w'\nentities = { acq = '{mm}' }", "{mm} names {mm}"),
        ("contrast = 'T1w'\nentities = { echo = '1' }", "unknown entity echo"),
    ],
)
def test_a_recipe_that_says_what_nobody_understands_is_refused_when_read(tmp_path, lines, reason):
    path = tmp_path / "mine.toml"
    match = "(?P<participant>P[0-9]+)_(?P<suffix>T[12]w)"
    path.write_text(f"name = 'x'\nabout = 'x'\nlicense = 'x'\n[[scan]]\nmatch = '{match}'\n{lines}\n")
    with pytest.raises(UsageError, match="no recipe: ") as error:
        read_recipe(str(path))
    assert reason in error.value.message


@pytest.mark.parametrize(
    ("lines", "group", "reason"),
    [
        ("subjects = 'by table'", "participant", "has no group scan"),
        ("", "scan", "has no group participant"),
        ("sessions = 'Order'", "participant", "sessions is 'Order'"),
        ("participants = ['site']", "participant", "participants names site"),
    ],
)
def test_a_recipe_needs_the_groups_that_it_speaks_of(tmp_path, lines, group, reason):
    path = tmp_path / "mine.toml"
    scan = f"[[scan]]\nmatch = '(?P<{group}>P[0-9]+)'\ncontrast = 'T1w'\n"
    path.write_text(f"name = 'x'\nabout = 'x'\nlicense = 'x'\n{lines}\n{scan}")
    with pytest.raises(UsageError) as error:
        read_recipe(str(path))
    assert reason in error.value.message
