"""Tables of text with a heading, with any separator."""

from __future__ import annotations

import csv
from collections.abc import Collection

from sar_data.errors import BadRecord, Reading
from sar_data.text import decode

SEPARATORS = "\t,;|"


def read_table(path: str, data: bytes, columns: Collection[str]) -> list[dict[str, str]]:
    """Return the rows of a table that has at least `columns`; raise BadRecord, naming `path` and the line.

    Any encoding and any line ends; the separator that splits the heading into most columns.
    """
    lines = decode(data).splitlines()
    first = lines[0] if lines else ""
    separator = max(SEPARATORS, key=first.count)
    with Reading(path, "a heading"):
        heading = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
    if missing := [name for name in columns if name not in heading]:
        raise BadRecord(
            path, f"expected the columns {', '.join(columns)}, found no {', '.join(missing)} in {first[:120]!r}"
        )
    if twice := [name for name in columns if heading.count(name) > 1]:
        raise BadRecord(path, f"expected every column once, found {twice[0]!r} twice in {first[:120]!r}")
    rows, before = [], 0
    reader = csv.reader(lines[1:], delimiter=separator)
    with Reading(path, "rows of cells"):
        for cells in reader:
            where, before, spanned = f"line {before + 2}", reader.line_num, reader.line_num - before
            if spanned > 1:
                raise BadRecord(path, f"{where}: expected a quote to end on its line, found none in {spanned} lines")
            if not "".join(cells).strip():
                continue
            if len(cells) != len(heading):
                raise BadRecord(path, f"{where}: expected {len(heading)} columns, found {len(cells)}: {cells!r:.120}")
            rows.append(dict(zip(heading, (cell.strip() for cell in cells), strict=True)))
    return rows
