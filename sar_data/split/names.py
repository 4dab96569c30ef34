"""Reads an official list: one name a line, or two names of the same sample side by side."""

from __future__ import annotations

import re

from sar_data.errors import SplitError

# A heading is made of words such as "patch" or "s2v1_name". Anything with two digits in a row may be a damaged
# name, which must stop the split rather than pass for a heading.
_HEADING = re.compile(r"(?!.*\d\d)[A-Za-z_][\w .:-]*")

# What lets a pattern match a line break or break when it is made part of a larger one: such patterns are applied
# line by line.
_MAY_SPAN_LINES = re.compile(r"\\[^dw.-]|\[\^|\(\?(?!:)|\n")

Row = tuple[str, ...]


def read_names(name: str, data: bytes, pattern: re.Pattern[str], *, columns: tuple[int, ...] = (1, 2)) -> list[Row]:
    """Return the rows of the list `name` as tuples of names that match `pattern` as a whole.

    A byte order mark, any line ends, blank lines, blanks around names and one heading are understood; `columns`
    are the allowed numbers of columns. Raises SplitError that names list and line for anything else.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SplitError(f"{name}, line {line}: expected UTF-8 text, found byte 0x{data[error.start]:02x}") from None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    plain = _plain(text.rstrip("\n"), pattern, columns)
    if plain is not None:
        return plain
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    rows = (_row(name, number, line, pattern, columns, number == first) for number, line in enumerate(lines))
    return [row for row in rows if row]


def _plain(body: str, pattern: re.Pattern[str], columns: tuple[int, ...]) -> list[Row] | None:
    """Return the rows of a list without any flaw, or None: then each line is looked at.

    One match of the whole text is several times as fast as half a million matches of a line each.
    """
    if not body or _MAY_SPAN_LINES.search(pattern.pattern):
        return None
    cells = body.replace(",", "\n") + "\n"
    if not re.fullmatch(rf"(?:(?:{pattern.pattern})\n)*+", cells):
        return None
    lines = body.split("\n")
    rows: list[Row] = [tuple(line.split(",")) for line in lines] if "," in body else list(zip(lines, strict=True))
    return rows if set(map(len, rows)) <= set(columns) else None


def _row(
    name: str, number: int, line: str, pattern: re.Pattern[str], columns: tuple[int, ...], may_be_heading: bool
) -> Row:
    """Return the names of a line, () for a blank line or the heading, or raise SplitError."""
    if not line.strip():
        return ()
    cells = tuple(cell.strip() for cell in line.split(","))
    wrong = [cell for cell in cells if not pattern.fullmatch(cell)]
    if len(cells) in columns and not wrong:
        return cells
    if may_be_heading and len(wrong) == len(cells) and all(map(_HEADING.fullmatch, cells)):
        return ()
    where = f"{name}, line {number + 1}"
    if len(cells) not in columns:
        wanted = " or ".join(map(str, columns))
        raise SplitError(f"{where}: expected columns: {wanted}, found {len(cells)} in {line[:120]!r}: correct the line")
    raise SplitError(
        f"{where}: expected a name that matches {pattern.pattern}, found {wrong[0][:120]!r}: "
        "fetch the list anew, or correct the line"
    )
