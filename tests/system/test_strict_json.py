"""JSON is read as its standard has it, and what is none is refused in words."""

from __future__ import annotations

import pytest

from sar_data.system import strict_json


def test_valid_json_is_read() -> None:
    text = '{"a": [1, -2.5e-3, null, true, "ü \\ud83d\\ude80"], "b": {"a": {}}, "c": 1e308}'
    expected = {"a": [1, -0.0025, None, True, "ü 🚀"], "b": {"a": {}}, "c": 1e308}
    assert strict_json.loads(text.encode()) == strict_json.loads(b"\xef\xbb\xbf" + text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "every key once, found 'c' twice"),
        ("[NaN]", "a number, found NaN"),
        ('{"a": -Infinity}', "a number, found -Infinity"),
        ("[1e999]", "a float can hold, found 1e999"),
        ("[" * 100_000, "values within values"),
        ('["\\ud83d"]', "half of one"),
        ('{"\\udc00": 1}', "half of one"),
        ("[1] 2", "Extra data"),
        ("", "Expecting value"),
        ("[" + "9" * 5000 + "]", "digits"),
    ],
    ids=lambda text: text[:20],
)
def test_invalid_json_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        strict_json.loads(text.encode())


@pytest.mark.parametrize("data", [b"\xff\xfe[\x001\0]\0", b'["\xe9"]', b"\0"])
def test_other_encodings_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"codec|Expecting"):
        strict_json.loads(data)
