from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.errors import SplitError
from sar_data.split.official import read_names

NAME = r"S[12][AB]_\d{1,3}"


@pytest.mark.parametrize(
    "data",
    [
        b"S2A_1\nS2A_2",
        b"S2A_1\nS2A_2\n",
        b"S2A_1\r\nS2A_2\r\n",
        b"S2A_1\rS2A_2\r",
        b"\xef\xbb\xbfS2A_1\nS2A_2\n",
        b"S2A_1\nS2A_2\n\n  \n\r\n",
        b"patch\nS2A_1\nS2A_2\n",
        b"\xef\xbb\xbf\ns2v1_name\r\n S2A_1 \r\nS2A_2\t\r\n",
    ],
)
def test_line_ends_byte_order_mark_blanks_and_a_heading_are_allowed(data: bytes) -> None:
    assert read_names("list", data, re.compile(NAME)) == [("S2A_1",), ("S2A_2",)]


def test_two_columns_may_have_a_heading_and_blanks() -> None:
    data = b"s2_name,s1_name\r\nS2A_1, S1A_1\r\n"
    assert read_names("list", data, re.compile(NAME)) == [("S2A_1", "S1A_1")]


def test_an_empty_list_has_no_rows() -> None:
    assert read_names("list", b"", re.compile(NAME)) == []
    assert read_names("list", b"patch\n", re.compile(NAME)) == []


@pytest.mark.parametrize(
    "pattern", [NAME, r"(?P<name>S[12][AB]_\d{1,3})", r"(?i:s[12][AB]_\d+)", r"S\S+", r"[^,\s]+", r"[^,]+"]
)
@pytest.mark.parametrize("data", [b"S2A_1\nS2A_2\n", b"S2A_1,S1A_1\nS2A_2,S1A_2\n"])
def test_any_pattern_reads_the_same_rows(pattern: str, data: bytes) -> None:
    rows = read_names("list", data, re.compile(pattern))
    assert rows == [tuple(line.split(",")) for line in data.decode().split()]


cell = st.one_of(st.from_regex(re.compile(NAME, re.ASCII), fullmatch=True), st.text("S2A_1, x\n\r", max_size=8))


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(cell, max_size=6))
def test_the_fast_way_and_the_careful_way_agree(lines: list[str]) -> None:
    data = "\n".join(lines).encode()
    results: list[object] = []
    # An empty lookahead changes nothing about what matches, but sends every line the careful way.
    for pattern in (NAME, "(?=)" + NAME):
        try:
            results.append(read_names("list", data, re.compile(pattern)))
        except SplitError as error:
            results.append(str(error).replace("(?=)", ""))
    assert results[0] == results[1]
