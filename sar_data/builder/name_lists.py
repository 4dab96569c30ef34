"""Lists of sample names as publishers write them: tables, lines of `path label`, and annotations in COCO's JSON."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sar_data.errors import SourceError
from sar_data.sealed.parquet_file import check_columns
from sar_data.split.policy import SPLITS
from sar_data.system.regular import read_regular
from sar_data.text import parse_json

SUFFIXES = (".csv", ".txt", ".json", ".parquet")
SPELLED = {"validation": "val", "valid": "val", "training": "train", "testing": "test"}
"""Splits as tables of publishers spell them → their names here."""

Columns = dict[str, list[str]]


def columns_of(path: Path) -> Columns:
    """Return the columns of text of a list, by name or by number; one that has nothing but splits is "split".

    Raises SourceError where the file is no such list.
    """
    columns = {".parquet": _parquet, ".json": _coco}.get(path.suffix, _lines)(path)
    if "split" not in columns:
        for name, texts in columns.items():
            if {*map(side_of, texts)} <= {*SPLITS}:
                return {"split" if name == other else other: texts for other, texts in columns.items()}
    return columns


def side_of(text: str) -> str:
    """Return the split that a text names, as it is called here; any other text in lower case."""
    name = text.strip().casefold()
    return SPELLED.get(name, name)


def _lines(path: Path) -> Columns:
    """Read values apart by commas, else by blanks where all lines have as many."""
    try:
        lines = list(csv.reader(io.StringIO(read_regular(path).decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path}: expected a list in UTF-8, found {error}") from error
    lines = [line for line in lines if line]
    if not lines:
        raise SourceError(f"{path}: expected names, found an empty list")
    if all(len(line) == 1 for line in lines):
        words = [line[0].split() for line in lines]
        lines = words if words[0] and all(len(row) == len(words[0]) for row in words) else lines
    head = lines[0]
    if odd := next((line for line in lines if len(line) != len(head)), None):
        shown = ",".join(odd)[:80]
        raise SourceError(f"{path}: expected {len(head)} values a line, as in the first, found {len(odd)} in {shown!r}")
    rows = lines["split" in head :]
    return {name if name == "split" else str(i): [row[i] for row in rows] for i, name in enumerate(head)}


def _coco(path: Path) -> Columns:
    try:
        return {"file_name": [str(image["file_name"]) for image in parse_json(read_regular(path))["images"]]}
    except (ValueError, KeyError, TypeError) as error:
        expected = "COCO's JSON, with `images` that each have a `file_name`"
        raise SourceError(f"{path}: expected {expected}, found others: {error!r:.200}") from error


def _parquet(path: Path) -> Columns:
    check_columns(path)
    try:
        with pq.ParquetFile(path) as file:
            texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
            table = file.read(columns=texts)
        table.validate(full=True)
        columns = zip(table.column_names, table.columns, strict=True)
        return {name: pc.fill_null(column.cast(pa.string()), "").to_pylist() for name, column in columns}
    except Exception as error:  # of a decoder that is not ours, on bytes of anyone: it raises what it likes
        raise SourceError(f"{path}: expected a table in Parquet, cannot read it: {error}"[:500]) from error


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value))
