"""What the cache of a remote build must have room for, and fetch next, in a given order."""

from __future__ import annotations

from sar_data.errors import UsageError
from sar_data.stream.collection import Collection
from sar_data.stream.order import Order, Rows

WINDOWS = 2  # the one that is read and the one that is fetched


def check(collection: Collection, order: Order, count: int) -> None:
    """Raise UsageError where a cache is so small for the order of `count` samples that every step would fetch."""
    for source in collection.sources:
        room = source.files.room
        if room is None or order.shuffle is None:
            continue
        split = source.manifest.splits[collection.split]
        together = WINDOWS * (order.window + split.shard_length) if order.shuffle == "shards" else count
        need = source.bytes * min(together / max(split.count, 1), 1)
        if need > room:
            raise UsageError(
                f"shuffle={order.shuffle!r} reads {need / 1e6:.0f} MB of {source.build} together, and its cache has "
                f"{room / 1e6:.0f} MB: give a larger cache_bytes, or shuffle='shards' with a smaller window"
            )


def announce(collection: Collection, order: Order, rows: Rows) -> None:
    """Let the caches fetch what the next of `rows` lie in."""
    if any(source.files.room is not None for source in collection.sources):
        collection.prefetch(rows[: WINDOWS * order.window])
