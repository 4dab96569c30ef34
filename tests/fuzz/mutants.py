"""Files changed at random, the same ones for the same seed: bytes, words, numbers, and the values of JSON."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

WORDS = [
    *(
        b"",
        b"0",
        b"-1",
        b"1e999",
        b"NaN",
        b"-inf",
        b"9" * 400,
        b"9" * 5000,
        b"1e308",
        b"\xc2\xb2",
        b"0x10",
        b"1_0",
        b"  ",
    ),
    *(
        b'"',
        b"'",
        b"<",
        b"&",
        b"{",
        b"]",
        b",",
        b";",
        b"\t",
        b"\r",
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xe6\x95",
        b"\x1a",
    ),
    *(
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b'"\\ud800"',
        b'"\\u0000"',
        b"[[[[[[[[",
        b"<!DOCTYPE a>",
        b"../",
        b"/",
        b"\\",
    ),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 2**31, 2**64, 10**400, 1e308, -0.5, float("nan"), float("inf")),
    *(
        "",
        "a",
        "\ud800",
        "a\0b",
        "../../etc/passwd",
        "9" * 5000,
        [],
        [[]],
        {},
        {"": None},
        [None],
        ["a"],
        [1, 2, 3, 4, 5],
    ),
]
NUMBERS = [
    0,
    1,
    2,
    3,
    7,
    8,
    13,
    127,
    128,
    255,
    256,
    4095,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
]


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Return bytes with one to four changes; JSON is changed as JSON half of the time."""
    if data[:1] in (b"{", b"[") and draw.random() < 0.5:
        return draw.choice((_other_value, _other_key))(data, draw)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 4))):
        data = draw.choice(CHANGES)(data, draw)
    return data


def _place(data: bytes, draw: random.Random) -> int:
    """Return a place: in the head, which says what follows, as often as anywhere."""
    return draw.randrange(min(len(data), 64) if draw.random() < 0.4 else len(data)) if data else 0


def _bit(data: bytes, draw: random.Random) -> bytes:
    at = _place(data, draw)
    return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :] if data else b"\0"


def _bytes(data: bytes, draw: random.Random) -> bytes:
    at, size = _place(data, draw), draw.randrange(1, 9)
    return data[:at] + draw.randbytes(size) + data[at + size :]


def _number(data: bytes, draw: random.Random) -> bytes:
    at, size = _place(data, draw), draw.choice((1, 2, 4, 8))
    at -= at % size if draw.random() < 0.7 else 0
    raw = draw.choice(NUMBERS).to_bytes(8, "little")[:size]
    return data[:at] + (raw if draw.random() < 0.7 else raw[::-1]) + data[at + size :]


def _float(data: bytes, draw: random.Random) -> bytes:
    at = _place(data, draw)
    raw = struct.pack(draw.choice(("<d", ">d", "<f", ">f")), draw.choice((0.0, -1.0, float("nan"), float("inf"), 1e38)))
    return data[:at] + raw + data[at + len(raw) :]


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: _place(data, draw)]


def _without(data: bytes, draw: random.Random) -> bytes:
    at = _place(data, draw)
    return data[:at] + data[at + draw.randrange(1, 40) :]


def _again(data: bytes, draw: random.Random) -> bytes:
    at, to = _place(data, draw), _place(data, draw)
    return data[:to] + data[at : at + draw.randrange(1, 200)] + data[to:]


def _word(data: bytes, draw: random.Random) -> bytes:
    at = _place(data, draw)
    return data[:at] + draw.choice(WORDS) + data[at:]


def _another_word(data: bytes, draw: random.Random) -> bytes:
    """Put something else in the place of a number, a name or a text in quotes."""
    words = list(re.finditer(rb'"[^"]{0,80}"|-?\d+(?:\.\d+)?|[A-Za-z_]\w*', data[:20_000]))
    if not words:
        return _word(data, draw)
    word = draw.choice(words)
    return data[: word.start()] + draw.choice(WORDS) + data[word.end() :]


def _another_line(data: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    at = draw.randrange(len(lines))
    lines[at : at + 1] = draw.choice(([], [lines[at]] * 2, [draw.choice(lines)], [lines[at] + draw.choice(lines)]))
    return b"\n".join(lines)


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    *(
        _bit,
        _bytes,
        _number,
        _number,
        _float,
        _cut,
        _without,
        _again,
        _word,
        _another_word,
        _another_word,
        _another_line,
    )
]


def _other_value(data: bytes, draw: random.Random) -> bytes:
    """Put another value in the place of one, anywhere in the document."""
    try:
        document = at = json.loads(data)
    except ValueError:  # it is text that only begins like JSON
        return _another_word(data, draw)
    while isinstance(at, dict | list) and at:
        key = draw.choice(list(at)) if isinstance(at, dict) else draw.randrange(len(at))
        if not isinstance(at[key], dict | list) or not at[key] or draw.random() < 0.3:
            at[key] = draw.choice(VALUES)
            return json.dumps(document).encode()
        at = at[key]
    return json.dumps(draw.choice(VALUES)).encode()


def _other_key(data: bytes, draw: random.Random) -> bytes:
    """Leave out a key, or have it twice."""
    keys = list(re.finditer(rb'"\w+"\s*:', data[:20_000]))
    if not keys:
        return _word(data, draw)
    key = draw.choice(keys)
    other = draw.choice((b"", b'"another":', key[0] + b" " + draw.choice(WORDS) + b", " + key[0], draw.choice(keys)[0]))
    return data[: key.start()] + other + data[key.end() :]
