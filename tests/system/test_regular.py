"""Ranges of files are read whole, and lie in memory once."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from sar_data.system import regular


@pytest.mark.parametrize("most", [1 << 16, 1 << 30])
def test_a_range_is_read_whole_and_lies_in_memory_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    data = os.urandom(1 << 20) * 4
    (tmp_path / "file").write_bytes(data)
    monkeypatch.setattr(regular, "AT_ONCE", most)
    with (tmp_path / "file").open("rb") as file:
        tracemalloc.start()
        assert len(regular.read_range(file.fileno(), 1, len(data) - 2)) == len(data) - 2
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1.2 * len(data)
        for offset, size in ((1, 5), (5, 1 << 17), (len(data) - 3, 1 << 17), (len(data), 8)):
            assert regular.read_range(file.fileno(), offset, size) == data[offset : offset + size]
