"""From records and their split to shards: which sample lies where, before any pixel is read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
import xxhash

from sar_data.formats.container import Shard
from sar_data.split.policy import SPLITS

SALT = b"sar-data shard order 1\0"  # a fixed salt: the order is part of the recipe, not of the seed


def shard_length(samples: int, most: int, multiple: int = 1) -> int:
    """Return the length that spreads `samples` evenly over the fewest shards of at most `most`.

    Rounded up to a `multiple`, which a container with chunks inside its shards asks for.
    """
    if samples == 0:
        return multiple
    length = math.ceil(samples / math.ceil(samples / most))
    return math.ceil(length / multiple) * multiple


def hash_order(keys: Sequence[str]) -> list[int]:
    """Return the positions of `keys` in the order of a salted hash: a fixed shuffle, stable when data grow."""
    return sorted(range(len(keys)), key=lambda i: (xxhash.xxh3_64_intdigest(SALT + keys[i].encode()), keys[i]))


def shards_of(
    scan: pa.Table, split: Sequence[str], most: int, multiple: int = 1
) -> tuple[list[Shard], Iterator[pa.Table]]:
    """Return the shards, and the rows of each, with the columns split, shard and position added, in their order."""
    scan = scan.combine_chunks()  # rows are taken from one chunk: Arrow would join many at each call
    order = hash_order(scan["key"].to_pylist())
    shards: list[Shard] = []
    members: list[list[int]] = []
    for name in SPLITS:
        own = [i for i in order if split[i] == name]
        length = shard_length(len(own), most, multiple)
        for start in range(0, len(own), length):
            members.append(own[start : start + length])
            shards.append(Shard(name, start // length, len(members[-1]), length, len(shards)))
    return shards, map(partial(_rows, scan), shards, members)


def _rows(scan: pa.Table, shard: Shard, members: Sequence[int]) -> pa.Table:
    columns = {
        "split": pa.array([shard.split] * shard.count, pa.string()),
        "shard": pa.array([shard.number] * shard.count, pa.int32()),
        "position": pa.array(range(shard.count), pa.int32()),
    }
    table = scan.take(pa.array(members, pa.int64()))
    for name, values in columns.items():
        table = table.append_column(name, values)
    return table
