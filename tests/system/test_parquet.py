"""What a Parquet file would take in memory is told by its pages, in whatever way they were written."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sar_data.system import parquet
from sar_data.system.parquet import TooLarge, check_size
from sar_data.system.parquet_pages import read_footer, read_pages

ROWS = 5_000
TABLE = pa.table(
    {
        "name": [f"sample {i}" for i in range(ROWS)],
        "class": ["water", "wood"] * (ROWS // 2),
        "boxes": [[{"label": "ship", "edges": [0.0, 1.0]}] * (i % 3) for i in range(ROWS)],
        "none": pa.nulls(ROWS, pa.string()),
        "number": np.arange(ROWS),
    }
)


def written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_have_the_values_and_bytes_that_the_file_lists(compression: str, version: str, dictionary: bool) -> None:
    options = {"compression": compression, "data_page_version": version, "use_dictionary": dictionary}
    data = written(TABLE, row_group_size=2_000, data_page_size=2_000, **options)
    metadata = pq.read_metadata(pa.BufferReader(data))
    rows, chunks = read_footer(pa.BufferReader(data), len(data))
    assert (rows, len(chunks)) == (ROWS, metadata.num_row_groups * metadata.num_columns)
    for number, (group, top, path, text, start, stop) in enumerate(chunks):
        assert group == number // metadata.num_columns
        chunk = metadata.row_group(group).column(number % metadata.num_columns)
        assert top == path.partition(".")[0]
        assert (path, text) == (chunk.path_in_schema, chunk.physical_type == "BYTE_ARRAY")
        assert stop - start == chunk.total_compressed_size
        found = list(read_pages(pa.BufferReader(data), start, stop))
        assert sum(page.values for page in found[chunk.has_dictionary_page :]) == chunk.num_values
        # With the headers, of which there is one a page.
        assert 0 < chunk.total_uncompressed_size - sum(page.size for page in found) < 300 * len(found)
        assert {page.encoding for page in found} <= parquet.ENCODINGS
    check_size(pa.BufferReader(data), len(data))


def test_a_long_text_in_one_row_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "FREE", 1 << 20)
    once = written(pa.table({"note": ["a" * 100_000, *["b"] * 999]}))
    check_size(pa.BufferReader(once), len(once))
    often = written(pa.table({"note": ["a" * 100_000] * 200}))
    with pytest.raises(TooLarge, match="note: expected a table of at most"):
        check_size(pa.BufferReader(often), len(often))


def test_a_false_list_of_parts_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The footer says less than the pages hold: their own headers are counted."""
    monkeypatch.setattr(parquet, "FREE", 1 << 20)
    count = 2_000_000
    data = written(pa.table({"numbers": [[0.0] * count]}))
    # Numbers of seven bits a byte, the last without its highest one, doubled for their sign: `count`, and 1 as long.
    many, one = (bytes([(2 * n >> 7 * i) & 127 | 128 * (i < 3) for i in range(4)]) for n in (count, 1))
    places = [at for at in range(len(data)) if data.startswith(many, at)]
    lies = [data[:at] + one + data[at + 4 :] for at in places]
    lie = next(lie for lie in lies if pq.read_metadata(pa.BufferReader(lie)).row_group(0).column(0).num_values == 1)
    with pytest.raises(TooLarge, match=r"numbers\.list\.element: expected a table of at most"):
        check_size(pa.BufferReader(lie), len(lie))


def test_damaged_pages_are_refused_and_reading_ends() -> None:
    data = written(TABLE.slice(0, 50), compression="zstd")
    for number in range(300):
        draw = random.Random(number)
        changed = bytearray(data)
        for _ in range(draw.choice((1, 2, 8))):
            changed[draw.randrange(len(data))] = draw.randrange(256)
        try:
            assert len(list(read_pages(io.BytesIO(changed), 4, len(changed)))) < len(changed)
        except ValueError:
            continue


def test_a_column_with_a_dot_in_its_name_is_checked() -> None:
    repeated = pa.table({"file.name": ["x" * 1_000_000] * 400})
    data = written(repeated, compression="zstd")
    assert len(data) < 100_000
    with pytest.raises(TooLarge, match=r"file\.name"):
        check_size(pa.BufferReader(data), len(data), ["file.name"])


def _thrift(*fields: tuple[int, int, bytes]) -> bytes:
    """Return a struct of fields: number, type and value, by rising numbers."""
    data, before = b"", 0
    for number, kind, value in fields:
        data, before = data + bytes([(number - before) << 4 | kind]) + value, number
    return data + b"\0"


def _whole(value: int) -> bytes:
    value, data = value << 1, b""
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def test_columns_that_share_pages_are_refused_before_they_are_counted() -> None:
    page = _thrift((1, 5, b"\0"), (2, 5, b"\0"), (3, 5, b"\0"), (5, 12, _thrift((1, 5, b"\0"), (2, 5, b"\0"))))
    name = b"\x18\x03key"  # a list of one text
    facts = _thrift((1, 5, _whole(1)), (3, 9, name), (7, 6, _whole(len(page) * 50_000)), (9, 6, _whole(4)))
    groups = b"\xfc" + bytes([2_000 & 127 | 128, 2_000 >> 7]) + _thrift((3, 12, facts)) * 2_000
    listed = _thrift((3, 6, _whole(1)), (4, 9, b"\x1c" + _thrift((1, 9, groups))))
    data = b"PAR1" + page * 50_000 + listed + len(listed).to_bytes(4, "little") + b"PAR1"
    assert len(read_footer(pa.BufferReader(data), len(data))[1]) == 2_000
    with pytest.raises(ValueError, match="key: expected pages of its own within"):
        check_size(pa.BufferReader(data), len(data))
