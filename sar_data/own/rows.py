"""Read tables and lists of images: one row per image, with or without a heading, as text or as Parquet."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.errors import BadRecord, SarDataError, SourceError
from sar_data.labels.table import SEPARATORS, read_table
from sar_data.labels.words import words_of_cell
from sar_data.naming import few
from sar_data.own.images import SPLITS
from sar_data.raster.any_format import ENDINGS
from sar_data.spec import Tree
from sar_data.system.parquet import check_size
from sar_data.text import decode

WORDS = {
    "image": "image images file filename file_name filepath file_path path img img_path image_path image_file "
    "image_name img_name name image_id img_id id chip chip_id patch patch_id tile",
    "label": "label labels class classes category target class_name label_name category_name class_id label_id y",
    "split": "split subset partition set fold",
    "group": "group scene scene_id scene_name city site location region product product_id",
    "date": "date time datetime timestamp acquired acquisition_date acquisition_time",
    "x": "lon lng longitude center_lon x easting",
    "y": "lat latitude center_lat y northing",
}
"""Role of a column → its usual names, the most likely first."""
_LABEL_BEFORE_PATH = re.compile(r"(\w+)[\s,;|]++(\S+)")  # a label, and a word that may be a path
FLAGS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


@dataclass(frozen=True, slots=True)
class Row:
    """One row or line; `where` is its place in the file. Missing values are None."""

    image: str
    where: str
    labels: tuple[str, ...] | None = None
    split: str | None = None
    group: str | None = None
    date: str | None = None
    x: str | None = None
    y: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """The declared columns: `roles` maps roles to columns, `flags` maps columns of 0 and 1 to classes."""

    roles: Mapping[str, str | None] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [*filter(None, self.roles.values()), *self.flags]


class TableRows(NamedTuple):
    """A table or a list: its rows, and role → column, empty without a heading."""

    rows: list[Row]
    heading: Mapping[str, str]


def columns_of(heading: Collection[str], declared: Columns) -> dict[str, str]:
    """Return role → column: the declared ones, else those with the most likely name."""
    spelled = {_normalize(name): name for name in reversed(list(heading))}
    used = set(declared.names)
    columns = {role: column for role, column in declared.roles.items() if column}
    for role, words in WORDS.items():
        guess = next((spelled[word] for word in words.split() if spelled.get(word, "") not in ("", *used)), None)
        if role == "label" and (declared.flags or ("x" in spelled and guess == spelled.get("y"))):
            continue  # given by other columns, or a coordinate
        if role not in columns and guess is not None:
            columns[role] = guess
            used.add(guess)
    return columns


def _normalize(name: str) -> str:
    return re.sub(r"\W+", "_", name.strip().lower())


def flags_of(tree: Tree, path: str) -> list[str]:
    """Return the columns of a table with 0 or 1 in every row, not always 1, whose names are neither roles nor splits.

    Such columns say whether an image has a class. Raises BadRecord or SourceError where it is no table.
    """
    data = tree.read(path)
    if path.lower().endswith(".parquet"):
        with _explain_errors(path):
            schema = pq.read_schema(pa.BufferReader(data))
            names = [
                column.name
                for column in schema
                if pa.types.is_primitive(column.type) and not pa.types.is_temporal(column.type)
            ]
            check_size(pa.BufferReader(data), len(data), names)
            columns = pq.read_table(pa.BufferReader(data), columns=names).to_pydict()
    else:
        rows = read_table(path, data, [])
        columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    role_words = {word for words in WORDS.values() for word in words.split()}
    flags = []
    for name, values in columns.items():
        truths = {FLAGS.get(str(value).lower()) for value in values}
        words = set(_normalize(name).split("_"))
        if (
            truths <= {True, False}
            and False in truths
            and _normalize(name) not in role_words
            and not words & SPLITS.keys()
        ):
            flags.append(name)
    return flags


def read_rows(tree: Tree, path: str, declared: Columns, is_known: Callable[[str], bool]) -> TableRows:
    """Return the rows of a table or a list; `is_known` says whether a name means an image.

    Raises BadRecord or SourceError, with file and line, for another file, and where a declared column is missing.
    """
    if path.lower().endswith(".parquet"):
        return _read_parquet(path, tree.read(path), declared)
    numbered = enumerate(decode(tree.read(path)).splitlines(), 1)
    lines = [(number, line) for number, line in numbered if line.strip() and (line[0] != "#" or is_known(line))]
    if not lines:
        return TableRows([], {})
    cells = _cells(lines[0][1])
    heading = columns_of(cells, declared)
    if declared.names or ("image" in heading and not any(map(is_known, cells))):
        return TableRows(_read_text_table(path, lines, heading, declared), heading)
    return TableRows(_read_lines(path, lines, is_known), {})


def _cells(line: str) -> list[str]:
    separator = max(SEPARATORS, key=line.count)
    return [cell.strip().strip("\"'") for cell in (line.split(separator) if separator in line else line.split())]


def _read_text_table(
    path: str, lines: list[tuple[int, str]], heading: Mapping[str, str], declared: Columns
) -> list[Row]:
    _check_columns(path, _cells(lines[0][1]), heading, declared)
    if not any(separator in lines[0][1] for separator in SEPARATORS):  # separated by blanks
        names = lines[0][1].split()
        parted = [(number, line.split()) for number, line in lines[1:]]
        if wrong := next((number for number, cells in parted if len(cells) != len(names)), None):
            raise SourceError(f"{path}, line {wrong}: expected {len(names)} words, as its heading has")
        rows: Iterable[Mapping[str, Any]] = [dict(zip(names, cells, strict=True)) for _, cells in parted]
    else:
        data = "\n".join(line for _, line in lines).encode()
        rows = read_table(path, data, [*heading.values(), *declared.flags])
    return [_row(row, heading, declared.flags, f"{path}, row {number}") for number, row in enumerate(rows, 1)]


def _read_parquet(path: str, data: bytes, declared: Columns) -> TableRows:
    with _explain_errors(path):
        schema = pq.read_schema(pa.BufferReader(data))
        heading = columns_of(schema.names, declared)
        _check_columns(path, schema.names, heading, declared)
        names = [*heading.values(), *declared.flags]
        check_size(pa.BufferReader(data), len(data), names)
        rows = pq.read_table(pa.BufferReader(data), columns=names).to_pylist()
        parsed = [_row(row, heading, declared.flags, f"{path}, row {number}") for number, row in enumerate(rows, 1)]
    return TableRows(parsed, heading)


@contextmanager
def _explain_errors(path: str) -> Iterator[None]:
    """Turn the errors of a Parquet reader into SourceError with the file's name."""
    try:
        yield
    except SarDataError:
        raise
    # Times beyond Python's dates raise ArithmeticError, unknown time zones LookupError.
    except (pa.ArrowException, ArithmeticError, LookupError, OSError, ValueError) as error:
        raise SourceError(f"{path}: expected a Parquet table, found none that can be read: {error}"[:400]) from None


def _check_columns(path: str, names: Collection[str], heading: Mapping[str, str], declared: Columns) -> None:
    if lacking := [column for column in declared.names if column not in names]:
        raise SourceError(f"{path}: expected the columns {few(lacking)}, found {few(list(names), 12)}")
    if "image" not in heading:
        raise SourceError(
            f"{path}: expected a column of image names, found {few(list(names), 12)}: give `image_column=…`"
        )


def _row(row: Mapping[str, Any], heading: Mapping[str, str], flags: Mapping[str, str], where: str) -> Row:
    values = {role: _text(row[column]) for role, column in heading.items() if role != "label"}
    labels = words_of_cell(row[heading["label"]]) if "label" in heading else None
    if flags:
        labels = tuple(name for column, name in flags.items() if _flag(row[column], column, where))
    return Row(image=values.pop("image") or "", where=where, labels=labels, **values)


def _flag(value: Any, column: str, where: str) -> bool:
    if (flag := FLAGS.get(str(value).strip().lower())) is None:
        raise BadRecord(where, f"expected 0 or 1 in the column {column:.80}, found {str(value)[:40]!r}")
    return flag


def _text(value: Any) -> str | None:
    return None if value is None or str(value).strip() == "" else str(value).strip()


def _read_lines(path: str, lines: list[tuple[int, str]], is_known: Callable[[str], bool]) -> list[Row]:
    """Return the rows of a list without a heading: `path label`, a path alone, or `label path` in every line."""
    rows = []
    matches = [_label_before_path(line.strip()) for _, line in lines]
    known = [match for match in matches if match and is_known(match[1])]
    words = {label for label, _ in known}
    # A word that begins all lines may be a part of the folder's name.
    label_first = len(known) == len(lines) and (len(words) > 1 or all(map(str.isdecimal, words)))
    for (number, line), match in zip(lines, matches, strict=True):
        where, text = f"{path}, line {number}", line.strip().strip("\"'")
        name, label = text, ""
        if label_first and match:
            label, name = match
        elif not is_known(text):
            name, label = _split_line(text)
        if not name:  # a single word that means no image
            name = label
            label = ""
        rows.append(Row(image=name.strip("\"'"), where=where, labels=(label.strip("\"'"),) if label else None))
    if len({row.labels is None for row in rows}) > 1:
        odd = next(row for row in rows if (row.labels is None) != (rows[0].labels is None))
        other = "a path alone" if odd.labels is not None else "`path label`"
        raise SourceError(f"{odd.where}: expected {other}, as in line 1, found {odd.image[:120]!r}")
    return rows


def _label_before_path(line: str) -> tuple[str, str] | None:
    """Return the label and the path of a line that is `label path`, None for another line."""
    match = _LABEL_BEFORE_PATH.fullmatch(line)
    if match is None or not ("/" in match[2] or match[2].lower().endswith(ENDINGS)):
        return None
    return match[1], match[2]


def _split_line(text: str) -> tuple[str, str]:
    """Return the text before the last blanks and separators of a line, and the word after them."""
    match = re.match(r"(.*?[^\s,;|])[\s,;|]+([^\s,;|]+)$", text)
    return (match[1], match[2]) if match else ("", text)


def split_of(row: Row) -> str | None:
    """Return the split of a row, None where it has none; raise BadRecord for another word."""
    if row.split is None:
        return None
    if (split := SPLITS.get(row.split.lower())) is None:
        raise BadRecord(row.where, f"expected the split train, val or test, found {row.split[:40]!r}")
    return split


def time_of(row: Row) -> datetime | None:
    """Return the time of a row, UTC without a zone; raise BadRecord where its date is not ISO 8601."""
    if row.date is None:
        return None
    try:
        time = datetime.fromisoformat(row.date)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise BadRecord(row.where, f"expected a date as ISO 8601 writes it, found {row.date[:40]!r}") from None
