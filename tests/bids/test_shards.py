"""Parts of the participants."""

import pytest

from bidsapp.bids.shards import part_of, read_shard

LABELS = [f"{number:02d}" for number in range(1, 24)]


@pytest.mark.parametrize("count", [1, 2, 5, 23, 30])
def test_parts_hold_everybody_once_and_are_of_one_size(count):
    parts = [part_of(LABELS, f"{number}/{count}") for number in range(1, count + 1)]
    assert sorted(label for part in parts for label in part) == LABELS
    sizes = {len(part) for part in parts}
    assert max(sizes) - min(sizes) <= 1


def test_a_part_depends_on_the_labels_alone():
    assert part_of(LABELS[::-1], "2/9") == part_of([*LABELS, "01"], "2/9") == ["02", "11", "20"]
    assert part_of(["b", "a"], None) == ["b", "a"]


@pytest.mark.parametrize(
    "word", ["", "3", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "1.5/4", "a/b", " 1/4", "²/4", "1/4\n"]
)
def test_what_is_no_part(word):
    with pytest.raises(ValueError, match="no part of a whole"):
        read_shard(word)
