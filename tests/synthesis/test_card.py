"""What the card of a bundle says."""

import json
import re

import pytest

from bidsapp.synthesis.card import model_card
from bidsapp.synthesis.plan import plan_from_json
from bidsapp.synthesis.pseudonyms import pseudonyms
from bidsapp.synthesis.splits import Split

from ..bundles import METRICS, SPLITS, small_bundle, small_plan


@pytest.fixture
def bundle(tmp_path):
    return small_bundle(tmp_path / "T1w-to-FLAIR")


def section(card, title):
    return card.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text):
    """Return the rows of the tables in a text, as lists of cells."""
    return [re.split(r"\s*\|\s*", line.strip("| ")) for line in text.splitlines() if line.startswith("|")]


def test_the_bundle_has_its_card(bundle):
    card = (bundle.path / "README.md").read_text()
    assert card == model_card(bundle, METRICS)
    assert card.startswith("---\nlicense: other\nlicense_name: not-chosen\nlibrary_name: synthprep\n")
    assert f"SHA-256 `{bundle.sha256}`" in card
    assert "A lesion in a synthetic FLAIR is not evidence" in card
    assert "Made by SynthPrep 0.9." in card
    assert "$ synthprep BIDS_DIR OUTPUT_DIR participant group --model BUNDLE\n" in section(card, "Use")
    assert "diagnosis" in section(card, "Use")
    plan = json.loads(section(card, "Plan").strip("`json\n"))
    assert plan_from_json(plan, "card") == bundle.plan


def test_whom_and_what_it_was_trained_on(bundle):
    said = dict(row for row in rows(section((bundle.path / "README.md").read_text(), "Data")) if len(row) == 2)
    assert said["participants"] == "2"
    assert said["visits learned from"] == "3"
    assert said["grid"] == "of the T1w, 2 × 2 × 2 mm"
    assert said["intensity scale"] == "`--normalization robust`"


def test_a_visit_of_two_scans_counts_once(tmp_path):
    again = Split("sub-02", "sub-02", 1, True, "d" * 64)  # was processed again with another T1w
    folder = small_bundle(tmp_path / "b", splits=[*SPLITS, again]).path
    assert ["visits learned from", "3"] in rows(section((folder / "README.md").read_text(), "Data"))


def test_errors_are_means_over_people_beside_the_baselines(bundle):
    text = section(model_card(bundle, METRICS), "Errors on people held out")
    names = pseudonyms(SPLITS)
    found = rows(text)
    # The first person's two visits, .5 and .3, count once.
    assert ["seed-resnet", "0.500", "0.550", "0.900"] in found
    assert ["floor", "0.550", "0.400", "0.700"] in found
    assert [f"`{names['sub-01']}`", "0.400", "0.600"] in found
    assert [f"`{names['sub-02']}`", "0.600", "0.500"] in found
    assert "below that of `floor` for 1 of 2 people" in text
    assert "`floor` is the best map of intensities" in text
    assert "normalized units" in text


def test_who_has_a_network_that_is_worse_than_the_floor_is_told(bundle):
    assert "Do not predict with it" not in model_card(bundle, METRICS)
    assert "Do not predict with it" in model_card(bundle, METRICS.replace("\t0.5\t0.6\t", "\t1.5\t0.6\t"))


def test_a_range_outside_which_nothing_was_learned_is_told(bundle):
    head, *lines = METRICS.splitlines()
    narrow = "\n".join((f"{head}\taxial_range", *(f"{line}\t20.0,80.0" for line in lines)))
    told, whole = (section(model_card(bundle, m), "Errors on people held out") for m in (narrow, METRICS))
    assert "inside the brain, between 20 and 80 % of its height.\n" in told
    assert "Nothing was learned outside that range" in told
    assert "inside the brain.\n" in whole
    assert "outside" not in whole


def test_without_measurements_it_says_so(bundle):
    assert section(model_card(bundle, ""), "Errors on people held out").strip() == "Nothing was measured."


def test_a_licence_and_notes(bundle):
    assert "nobody else may use it" in section(model_card(bundle, ""), "Licence")
    card = model_card(bundle, METRICS, licence="Apache-2.0", notes="## On real scans\n\nMAE {0.45}.\n")
    assert card.startswith("---\nlicense: apache-2.0\nlibrary_name")
    assert section(card, "Licence").startswith("\nApache-2.0\n")
    assert section(card, "On real scans").strip() == "MAE {0.45}."


def test_no_label_of_anybody(bundle):
    card = model_card(bundle, METRICS)
    for split in SPLITS:
        assert split.participant not in card
        assert split.fingerprint[:16] in card


def test_participants_whom_an_earlier_training_saw(tmp_path):
    earlier = [Split("sub-09", "sub-09", None, True, "d" * 64)]
    folder = small_bundle(tmp_path / "b", small_plan(sources=("T1w", "T2w")), earlier=earlier).path
    card = (folder / "README.md").read_text()
    assert [f"`{pseudonyms(earlier)['sub-09']}`", "none", f"`{'d' * 16}`"] in rows(section(card, "Participants"))
    assert "what the 3 participants below showed" in section(card, "Limits")
    assert "Predicts the FLAIR of a brain from its T1w and T2w." in card
