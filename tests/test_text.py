"""Text of any size and encoding: what it says, or one reason."""

import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsapp.text import read_json, read_table, read_text

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


@given(WORDS, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_marks_and_line_ends_make_no_difference(tmp_path_factory, word, encoding, end):
    path = tmp_path_factory.getbasetemp() / "text"
    word = word.lstrip("\ufeff")
    path.write_bytes(f"a\t{word}{end}b{end}".encode(encoding))
    assert read_text(path) == f"a\t{word}\nb\n"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(content)
    for read in (read_text, read_json, read_table):
        with suppress(ValueError):
            read(path)


def test_latin_1_is_refused_by_its_byte(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes("name\nJosé\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"not in UTF-8 \(byte 8\); save it as UTF-8"):
        read_table(path)


def test_a_gigabyte_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "big.json"
    with path.open("wb") as file:
        file.truncate(1_000_000_000)  # a sparse file, which costs no disk
    with pytest.raises(ValueError, match="larger than 64 MB"):
        read_json(path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000])
def test_json_that_overflows_is_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"."):
        read_json(path)


def test_what_has_no_end_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path):
        with pytest.raises(ValueError, match="no regular file"):
            read_text(tmp_path / path)


def test_rows_of_a_ragged_table(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("\ufeffa\tb\r\n1\r\n1\t2\t3\r\n", newline="")
    assert read_table(path) == [{"a": "1"}, {"a": "1", "b": "2"}]
    path.write_text(f'a\n"{"x" * 200_000}"\n')
    with pytest.raises(ValueError, match="no table: field larger"):
        read_table(path)
