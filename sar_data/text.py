"""Decode text by one rule for every list, table and annotation: annotators use many encodings and declare none.

And text as LaTeX, Markdown, CSV, YAML and TOML take it.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable
from typing import Any

from sar_data.system import strict_json

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
HEAD_BYTES = 64  # bytes
SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_"},
    **{"{": r"\textbraceleft{}", "}": r"\textbraceright{}"},  # BibTeX counts braces, those behind \ too
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"×": r"$\times$", "±": r"$\pm$", "−": "$-$", "–": "--", "σ": r"$\sigma$", "†": r"\dag{}", "≤": r"$\leq$"},
}
"""Sign → what LaTeX sets as that sign."""
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # control characters, and what ends a line in YAML
COMPUTED = tuple("=+-@\t\n")  # a spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection)


def decode(data: bytes) -> str:
    """Return the text of a file, without a byte order mark.

    The mark decides; without one it is UTF-16 where most of every other byte at the beginning are zero, else
    UTF-8, else GB 18030, which holds GBK and GB 2312. In other encodings, undecodable bytes are replaced.
    """
    for encoding in _encodings(data):
        try:
            return data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def _encodings(data: bytes) -> list[str]:
    marked = [encoding for mark, encoding in MARKS.items() if data.startswith(mark)]
    head = data[: min(HEAD_BYTES, len(data) // 2 * 2)]
    if not marked and len(head) >= 4:
        halves = (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2]))
        marked = [name for name, high, low in halves if 0 not in low and 2 * high.count(0) >= len(high)]
    return [*marked, "utf-8", "gb18030"]


def parse_json(data: bytes) -> Any:
    """Return what a JSON document says, in UTF-8 as its standard has it or in another encoding; raise ValueError."""
    try:
        return strict_json.loads(data)
    except UnicodeDecodeError:
        return strict_json.loads(decode(data).encode())


def markdown(text: str) -> str:
    """Return a text as Markdown shows it, on one line: no picture, link, tag, code or cell of a table begins in it."""
    return re.sub(r"([\\`<\[\]|])", r"\\\1", " ".join(text.split()))


def tex(text: str) -> str:
    """Return a text as LaTeX sets it; signs that nobody sees are left out."""
    return "".join(SPECIAL.get(sign, sign) for sign in text if sign.isprintable())


def literal(value: Any) -> str:
    """Return text, numbers, and lists and dicts of them in JSON, on a line that means the same in YAML and TOML."""
    return UNPRINTABLE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", json.dumps(value, ensure_ascii=False))


def csv_lines(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as CSV. A text that a spreadsheet would compute begins with an apostrophe, but no number does.

    A text that begins so already gets one more, so that different texts stay different.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    value = value.replace("\r", "\n")  # which csv quotes in every version of Python
    try:
        float(value)
    except ValueError:
        return f"'{value}" if value.lstrip("'").startswith(COMPUTED) else value
    return value
