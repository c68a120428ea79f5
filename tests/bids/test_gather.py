"""Sources that a visit may lack, among what is gathered of derivatives."""

import csv
from pathlib import Path

import pytest

from bidsapp.bids import names
from bidsapp.bids.gather import gather
from bidsapp.bids.sink import write_tsv
from bidsapp.records import Scan, Visit

from ..derived import HU, write_visit

SOURCES = ("T1w", "T2w")


@pytest.fixture
def derivatives(tmp_path):
    """Visits with all, without T2w, with a flagged T2w and no target, with the T1w alone."""
    contrasts = ("T1w", "T2w", "FLAIR"), ("T1w", "FLAIR"), ("T1w", "T2w"), ("T1w",)
    for number, there in enumerate(contrasts, start=1):
        visit = Visit(f"{number:02d}", None, tuple(Scan(Path(c), c) for c in there))
        write_visit(tmp_path, visit, sha256=f"{number}" * 64)
    flag(tmp_path, "03", "T2w")
    return tmp_path


def flag(out, subject, contrast):
    table = out / names.scans_table(Visit(subject, None, ()))
    lines = table.read_text().splitlines()
    lines = [line.removesuffix("n/a") + "slipped" if f"\t{contrast}\t" in line else line for line in lines]
    table.write_text("\n".join(lines) + "\n")


def test_without_the_option_a_visit_that_lacks_a_source_is_skipped(derivatives):
    gathered = gather(derivatives, SOURCES, "FLAIR", "T1w")
    assert [visit.pair.visit for visit in gathered.visits] == ["sub-01"]
    assert [(skip.visit, skip.reason) for skip in gathered.skipped] == [
        ("sub-02", "no T2w"),
        ("sub-03", "T2w cannot be trusted: slipped"),
        ("sub-04", "no T2w"),
    ]


def test_one_source_is_enough_and_a_flagged_one_is_missing(derivatives):
    gathered = gather(derivatives, SOURCES, "FLAIR", "T1w", may_miss=True)
    pairs = [visit.pair for visit in gathered.visits]
    assert [pair.visit for pair in pairs] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    assert [[path is not None for path in pair.sources] for pair in pairs] == [[True, True], *[[True, False]] * 3]
    assert [path.name for path in pairs[0].sources] == [
        "sub-01_desc-normalized_T1w.nii.gz",
        "sub-01_space-T1w_desc-normalized_T2w.nii.gz",
    ]
    assert [pair.target is not None for pair in pairs] == [True, True, False, False]
    assert gathered.skipped == ()
    assert [(drop.visit, drop.reason) for drop in gathered.dropped] == [
        ("sub-03", "T2w taken as missing: slipped")
    ]
    assert gathered.visits[2].methods == {"T1w": "robust"}


def test_a_damaged_mask_costs_its_visit_only(derivatives):
    mask = derivatives / "sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    content = mask.read_bytes()
    mask.write_bytes(content[:10] + bytes([content[10] | 6]) + content[11:])  # a kind of block that deflate lacks
    gathered = gather(derivatives, ("T1w",), "FLAIR", "T1w")
    assert [visit.pair.visit for visit in gathered.visits] == ["sub-02", "sub-03", "sub-04"]
    assert [skip.visit for skip in gathered.damaged] == ["sub-01"]
    assert gathered.damaged[0].reason.startswith(f"{mask}: cannot be read")


def test_quality_numbers_of_sources_are_gathered(derivatives):
    table = next(derivatives.rglob("*_scans.tsv"))
    rows = list(csv.DictReader(table.read_text().splitlines(), delimiter="\t"))
    for row in rows:
        row |= {"inu_range": "1.25", "fber": "n/a", "verdict": "", "efc": "inf"}
    write_tsv(rows, table, list(rows[0]))
    label = table.name.removesuffix("_scans.tsv")
    (found,) = [v for v in gather(derivatives, ("T1w",), "FLAIR", "T1w").visits if v.visit.label == label]
    (quality,) = found.pair.quality
    assert quality["inu_range"] == 1.25
    assert not {"fber", "efc", "verdict", "contrast"} & quality.keys()


def test_a_visit_is_for_tests_only_where_any_of_its_images_says_so(derivatives):
    write_visit(derivatives, Visit("05", None, (Scan(Path("T1w"), "T1w"),)), sloppy=True)
    (t2w,) = derivatives.glob("sub-01/anat/*desc-normalized_T2w.json")
    t2w.write_text(
        t2w.read_text().replace('"Description": "', '"Description": "SLOPPY: coarse and quick, for tests only. ')
    )

    def found(*sources):
        return [
            visit.pair.visit for visit in gather(derivatives, sources, "FLAIR", "T1w").visits if visit.pair.sloppy
        ]

    assert found("T1w") == ["sub-05"]
    assert found("T1w", "T2w") == ["sub-01"]


def test_a_visit_without_any_source_is_skipped(derivatives):
    gathered = gather(derivatives, ("T2w", "PDw"), "FLAIR", "T1w", may_miss=True)
    assert [visit.pair.visit for visit in gathered.visits] == ["sub-01"]
    assert [(skip.visit, skip.reason) for skip in gathered.skipped] == [
        ("sub-02", "no T2w and no PDw"),
        ("sub-03", "no PDw"),
        ("sub-04", "no T2w and no PDw"),
    ]


def test_a_flagged_reference_keeps_its_visit_out(derivatives):
    flag(derivatives, "01", "T1w")
    for sources in (SOURCES, ("T2w", "PDw")):
        gathered = gather(derivatives, sources, "FLAIR", "T1w", may_miss=True)
        assert ("sub-01", "T1w cannot be trusted: slipped") in [(s.visit, s.reason) for s in gathered.skipped]


def test_a_visit_is_known_by_its_reference_whatever_is_missing(derivatives):
    t2w = derivatives / "sub-01/anat/sub-01_space-T1w_desc-preproc_T2w.json"
    t2w.write_text(t2w.read_text().replace("1" * 64, "a" * 64))

    def known_by(**options):
        return gather(derivatives, ("T2w", "T1w"), "FLAIR", "T1w", **options).visits[0].pair.fingerprint

    assert known_by() == "a" * 64
    assert known_by(may_miss=True) == "1" * 64
    flag(derivatives, "01", "T2w")
    assert known_by(may_miss=True) == "1" * 64


def test_a_ct_is_predicted_in_the_head_and_learned_where_it_was_scanned(tmp_path):
    for subject, contrasts in {"01": ("T1w", "ct"), "02": ("T1w",)}.items():
        write_visit(tmp_path, Visit(subject, None, tuple(Scan(Path(c), c) for c in contrasts)))
    paired, alone = gather(tmp_path, ("T1w",), "ct", "T1w").visits
    for visit in (paired, alone):
        assert visit.pair.mask.name == f"{visit.pair.visit}_desc-head_mask.nii.gz"
        assert visit.pair.margin_mm == 10
        assert visit.pair.zeros == (-100.0 / 20.0,)
    assert paired.pair.target.name == "sub-01_space-T1w_desc-normalized_ct.nii.gz"
    assert paired.pair.target_mask.name == "sub-01_space-T1w_desc-measuredct_mask.nii.gz"
    assert paired.pair.target_scale == HU
    assert (alone.pair.target, alone.pair.target_mask) == (None, None)
    (from_ct,) = gather(tmp_path, ("ct",), "T1w", "T1w").visits
    assert (from_ct.pair.mask.name, from_ct.pair.margin_mm) == ("sub-01_desc-brain_mask.nii.gz", 0)
    assert from_ct.pair.zeros == ()
