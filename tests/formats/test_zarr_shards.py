"""Inner chunks of a shard are decoded within it and to their own size, whatever its index or their frames say."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import zstandard
from numcodecs.zstd import compress

from sar_data.errors import BuildError
from sar_data.formats.zarr_shards import BYTES_A_BYTE, EMPTY, FREE, INNER, Shards

SHARDS = Shards(slots=2 * INNER, sample=60)
DATA = np.random.default_rng(0).bytes(INNER * 60)


def shard(path: Path, *chunks: bytes, entries: list[tuple[int, int]] | None = None, tail: bytes = bytes(4)) -> Path:
    """Write inner chunks one behind the other, and an index of them or of what it says."""
    starts = np.cumsum([0, *map(len, chunks)]).tolist()
    entries = entries or [(start, len(chunk)) for start, chunk in zip(starts, chunks, strict=False)]
    index = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    path.write_bytes(b"".join(chunks) + index + tail)
    return path


def streamed(data: bytes) -> bytes:
    """Return a frame that does not say how much it holds."""
    return zstandard.ZstdCompressor(write_content_size=False).compress(data)


def test_an_inner_chunk_is_decoded(tmp_path: Path) -> None:
    path = shard(tmp_path / "0", compress(DATA[::-1], 3), compress(DATA, 3))
    assert SHARDS.decode(path, 1).tobytes() == DATA
    SHARDS.check(path)


@pytest.mark.parametrize(
    "chunk",
    [
        *(b"", b"nonsense" * 9, compress(DATA, 3)[:-1], compress(DATA, 3)[:9], compress(DATA[:-1], 3)),
        *(compress(DATA + b"\0", 3), compress(bytes(1 << 30), 3), streamed(DATA), streamed(bytes(1 << 30))),
        compress(DATA, 3) + streamed(bytes(1 << 30)),
        compress(DATA, 3) + compress(DATA, 3),
        compress(DATA, 3) + b"rest",
        compress(DATA, 3)[:12] + bytes(40),
        zstandard.ZstdCompressor(level=3).compress(bytes(len(DATA)))[:-3] + b"\xff\xff\xff",
    ],
)
def test_a_chunk_that_would_decode_to_anything_else_is_refused(tmp_path: Path, chunk: bytes) -> None:
    path = shard(tmp_path / "0", compress(DATA, 3), chunk)
    with pytest.raises(BuildError, match=f"{path}: inner chunk 1"):
        SHARDS.decode(path, 1)


def test_a_few_bytes_do_not_ask_for_gigabytes(tmp_path: Path) -> None:
    sample = (FREE + BYTES_A_BYTE * 1000) // INNER  # of nothing but zeros, which take some 50 bytes a megabyte
    frame = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", INNER * sample) + bytes(900)
    path, shards = shard(tmp_path / "0", frame, frame), Shards(slots=2 * INNER, sample=sample)
    for use in (shards.check, lambda file: shards.decode(file, 0)):
        with pytest.raises(BuildError, match=rf"inner chunk 0: expected at most \d+ bytes in {len(frame)} compressed"):
            use(path)


@pytest.mark.parametrize(
    "entry", [(EMPTY, EMPTY), (EMPTY, 5), (5, EMPTY), (1 << 63, 5), (0, 1 << 62), (2000, 5), (0, 5000), (EMPTY - 4, 9)]
)
def test_an_index_that_leads_elsewhere_is_refused(tmp_path: Path, entry: tuple[int, int]) -> None:
    path = shard(tmp_path / "0", compress(DATA, 3), compress(DATA, 3), entries=[entry, entry])
    with pytest.raises(BuildError, match=f"{path}: inner chunk 1"):
        SHARDS.decode(path, 1)
    if entry != (EMPTY, EMPTY):
        with pytest.raises(BuildError, match=f"{path}: inner chunk 0"):
            SHARDS.check(path)


def test_a_chunk_that_no_shard_has_is_refused(tmp_path: Path) -> None:
    path = shard(tmp_path / "0", compress(DATA, 3), compress(DATA, 3))
    for number in (-1, 2, 1 << 62):
        with pytest.raises(BuildError, match="expected a shard of 2 inner chunks"):
            SHARDS.decode(path, number)
    with pytest.raises(BuildError, match="expected a shard"):
        Shards(slots=17, sample=60).decode(path, 0)
    for size in (0, 3, 35):
        os.truncate(path, size)
        with pytest.raises(BuildError, match="expected a shard of 2 inner chunks"):
            SHARDS.decode(path, 0)
