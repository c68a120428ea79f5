import pytest

from bidsapp.reports.cohort import distributions, outliers, quality_table, read_rows, robust_z, who_has_what


def row(visit, contrast, flags="n/a", verdict="n/a", **numbers):
    file = f"anat/{visit}_{'desc-synth' if verdict != 'n/a' else 'run-2_desc-preproc'}_{contrast}.nii.gz"
    return {
        "visit": visit,
        "filename": file,
        "contrast": contrast,
        "flags": flags,
        "verdict": verdict,
        "reasons": "n/a",
        **numbers,
    }


@pytest.fixture
def scans():
    """T1w of eight visits, one of them unlike the others; a flagged FLAIR, and a synthesized one."""
    rows = [row(f"sub-0{n}", "T1w", snr=f"{10 + n / 10}", mask_dice="n/a") for n in range(7)]
    rows.append(row("sub-07", "T1w", snr="25.04", mask_dice="n/a"))
    rows += [row("sub-00", "FLAIR", snr="9", mask_dice="0.91"), row("sub-01", "FLAIR", "moved 41 mm", snr="8")]
    rows += [row("sub-02", "FLAIR", verdict="reject"), row("sub-00", "FLAIR", verdict="trust")]
    return read_rows(rows)


def test_robust_z_is_the_distance_from_the_median_in_scaled_median_deviations():
    assert robust_z([1, 2, 3, 4, 100]) == pytest.approx([z / 1.4826 for z in (-2, -1, 0, 1, 97)])


def test_where_most_values_are_the_same_the_mean_deviation_is_taken():
    assert robust_z([0, 0, 0, 0, 10])[-1] == pytest.approx(10 / (1.2533 * 2))
    assert robust_z([3, 3, 3]) == [0, 0, 0]


def test_a_difference_that_is_not_shown_marks_nothing():
    assert robust_z([0, 0, 0, 0, 0.001], finest=0.1)[-1] == pytest.approx(0.01)


def test_outliers_are_found_in_their_contrast(scans):
    far = outliers(scans)
    assert set(far) == {("anat/sub-07_run-2_desc-preproc_T1w.nii.gz", "snr")}
    assert far["anat/sub-07_run-2_desc-preproc_T1w.nii.gz", "snr"] == pytest.approx(
        14.69 / (1.4826 * 0.2), rel=0.01
    )


def test_of_few_scans_none_is_marked():
    assert outliers(read_rows([row(f"sub-{n}", "T1w", snr=str(9 if n else 900)) for n in range(5)])) == {}


def test_the_table_has_a_row_for_each_acquired_scan(scans):
    table = quality_table(scans, {"sub-07": "sub-07.html"})
    assert [heading for heading, _ in table["columns"]] == [
        "Signal to noise",
        "Overlap with the reference’s brain mask, Dice",
    ]
    assert len(table["rows"]) == 10
    assert (table["contrasts"], table["marked"], table["flagged"]) == (["FLAIR", "T1w"], 1, 1)
    last = table["rows"][7]
    assert (last["visit"], last["page"], last["run"], last["marked"]) == ("sub-07", "sub-07.html", "run-2", 1)
    assert last["cells"] == [("25.0", ("high", "49.5")), ("n/a", None)]
    assert table["rows"][9]["flags"] == "moved 41 mm"


def test_every_number_is_drawn_for_each_contrast(scans):
    first, second = distributions(scans)
    assert (first.title, second.title) == ("Signal to noise", "Overlap with the reference’s brain mask, Dice")
    assert first.svg.count("<circle") + first.svg.count('class="out"') >= 10
    assert (first.svg.count(">T1w<"), second.svg.count(">T1w<")) == (1, 0)


def test_who_has_what_counts_patterns(scans):
    found = who_has_what(scans, "FLAIR", {"sub-00": "sub-00.html"})
    assert found["contrasts"] == ["T1w", "FLAIR"]
    states = {visit["visit"]: visit["states"] for visit in found["visits"]}
    assert states["sub-00"] == ["acquired", "acquired"]
    assert states["sub-01"] == ["acquired", "flagged"]
    assert states["sub-02"] == ["acquired", "synthesized"]
    assert [(pattern["states"][1], pattern["count"], pattern["share"]) for pattern in found["patterns"]] == [
        ("none", 5, 62.5),
        ("acquired", 1, 12.5),
        ("flagged", 1, 12.5),
        ("synthesized", 1, 12.5),
    ]
    assert found["patterns"][0]["examples"] == "sub-03, sub-04, sub-05, sub-06 …"
