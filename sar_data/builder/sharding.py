"""From records and their split to shards: which sample lies where, before any pixel is read."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def shards_of(scan: pa.Table, split: Sequence[str], most: int, multiple: int = 1) -> tuple[list[Shard], pa.Table]:
    """Return the shards and the packed rows in shard order, with the columns split, shard and position added."""
    keys = scan["key"].to_pylist()
    rows: list[int] = []
    shards: list[Shard] = []
    columns: dict[str, list[object]] = {"split": [], "shard": [], "position": []}
    order = hash_order(keys)
    for name in SPLITS:
        members = [i for i in order if split[i] == name]
        length = shard_length(len(members), most, multiple)
        for start in range(0, len(members), length):
            number, count = start // length, min(length, len(members) - start)
            shards.append(Shard(name, number, count, length, len(shards)))
            columns["split"] += [name] * count
            columns["shard"] += [number] * count
            columns["position"] += range(count)
        rows += members
    table = scan.take(pa.array(rows, pa.int64()))
    for column, kind in (("split", pa.string()), ("shard", pa.int32()), ("position", pa.int32())):
        table = table.append_column(column, pa.array(columns[column], kind))
    return shards, table
