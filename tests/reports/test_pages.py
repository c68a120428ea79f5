import pytest

from bidsapp.reports.pages import paragraphs, show


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, None, "n/a"),
        ("", None, "n/a"),
        (float("nan"), 2, "n/a"),
        (float("inf"), 2, "inf"),
        (0.00012345, None, "0.0001234"),
        (1423.44, 0, "1423"),
        (5, None, "5"),
        (True, None, "yes"),
        (("T1w", 3), None, "T1w, 3"),
        ((), None, "n/a"),
        ("as it is", 3, "as it is"),
    ],
)
def test_show(value, digits, text):
    assert show(value, digits) == text


def test_paragraphs_are_split_at_empty_lines():
    assert paragraphs("\nOne\nstill one.\n \n\nTwo.\n") == ["One\nstill one.", "Two."]
