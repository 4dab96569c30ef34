"""Text of any encoding that annotators use is the same text."""

from __future__ import annotations

import csv
import io
import json

import pytest

from sar_data.text import csv_lines, decode, parse_json
from tests.places import ROOT

WORDS = "船舶 1 ship\nTür 2 träger\n"


def cells_of(lines: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(lines, newline="")))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030"])
def test_every_encoding_gives_the_same_text(encoding: str) -> None:
    text = "ship 1 船舶\n" + WORDS
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("data", [b"", b"\0", b"a\0", b"\xff", b"\xff\xfe\xff", b"\xe6\x95", bytes(range(256))])
def test_whatever_it_is_it_becomes_text(data: bytes) -> None:
    assert isinstance(decode(data), str)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_json_may_have_any_of_them(encoding: str) -> None:
    assert parse_json(json.dumps({"name": WORDS}, ensure_ascii=False).encode(encoding)) == {"name": WORDS}


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-2+3|x", "@SUM(1)", "\t=1", "\n=1", "-", "=", "-name", "+a@b"])
def test_no_text_of_a_table_is_computed_by_a_spreadsheet(text: str) -> None:
    assert cells_of(csv_lines([["key", text], [text, 1.0]])) == [["key", f"'{text}"], [f"'{text}", "1.0"]]
    assert cells_of(csv_lines([[f"'{text}"]])) == [[f"''{text}"]]  # which is another text


def test_numbers_and_other_texts_of_a_table_stay() -> None:
    row = [-1.5, -3, "-1.5", "+3", "-1e-05", "-inf", None, True, "", "a=b", "'", "\u2013", "a,b", 'a"b', "a\nb"]
    assert cells_of(csv_lines([row])) == [["" if value is None else str(value) for value in row]]


def test_no_text_of_a_table_begins_a_line() -> None:
    assert cells_of(csv_lines([["a\r=1", "\r=1", "a\r\nb"]])) == [["a\n=1", "'\n=1", "a\n\nb"]]


def test_every_table_is_written_by_this_function() -> None:
    paths = [path for path in (ROOT / "sar_data").rglob("*.py") if path.name not in ("text.py", "synth.py")]
    assert [path for path in paths if "csv.writer" in (text := path.read_text()) or "DictWriter" in text] == []
