"""Text of any encoding that annotators use is the same text."""

from __future__ import annotations

import json

import pytest

from sar_data.text import decode, parse_json

WORDS = "船舶 1 ship\nTür 2 träger\n"


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
