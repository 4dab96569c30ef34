"""Reads an official list: one name a line, or two names of the same sample side by side."""

from __future__ import annotations

import re

from sar_data.errors import SplitError

# A heading is made of words such as "patch" or "s2v1_name". Anything with two digits in a row may be a damaged
# name, which must stop the split rather than pass for a heading.
_HEADING = re.compile(r"(?!.*\d\d)[A-Za-z_][\w .:-]*")

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
    lines = text.split("\n")
    match = pattern.fullmatch
    if "," not in text and 1 in columns:
        # The common case, of half a million lines: only those that do not match are looked at one by one.
        rows: list[Row] = [(line,) if match(line) else () for line in lines]
    else:
        rows = [_checked(line.split(","), pattern, columns) for line in lines]
    doubtful = [number for number, row in enumerate(rows) if not row]
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    for number in doubtful:
        rows[number] = _doubtful(name, number, lines[number], pattern, columns, number == first)
    return [row for row in rows if row] if doubtful else rows


def _checked(cells: list[str], pattern: re.Pattern[str], columns: tuple[int, ...]) -> Row:
    if len(cells) in columns and all(map(pattern.fullmatch, cells)):
        return tuple(cells)
    return ()


def _doubtful(
    name: str, number: int, line: str, pattern: re.Pattern[str], columns: tuple[int, ...], may_be_heading: bool
) -> Row:
    """Return the row of a line that is not plain, () where the line carries none, or raise SplitError."""
    if not line.strip():
        return ()
    cells = [cell.strip() for cell in line.split(",")]
    row = _checked(cells, pattern, columns)
    if row or (may_be_heading and not any(map(pattern.fullmatch, cells)) and all(map(_HEADING.fullmatch, cells))):
        return row
    wanted = " or ".join(map(str, columns))
    if len(cells) not in columns:
        raise SplitError(f"{name}, line {number + 1}: expected {wanted} columns, found {len(cells)} in {line[:120]!r}")
    wrong = next(cell for cell in cells if not pattern.fullmatch(cell))
    raise SplitError(
        f"{name}, line {number + 1}: expected a name that matches {pattern.pattern}, found {wrong[:120]!r}: "
        "fetch the list anew, or correct the line"
    )
