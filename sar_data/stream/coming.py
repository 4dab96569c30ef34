"""What the cache of a remote build must have room for, and fetch next, in a given order."""

from __future__ import annotations

from sar_data.errors import UsageError
from sar_data.stream.collection import Collection
from sar_data.stream.order import Order, Rows

WINDOWS = 2  # the one that is read and the one that is fetched


def check(collection: Collection, order: Order, count: int) -> None:
    """Raise UsageError where the cache is so small for the order of `count` samples that every step would fetch."""
    room = collection.room
    if room is None or order.shuffle is None:
        return
    sources = collection.sources
    longest = max(source.manifest.splits[collection.split].shard_length for source in sources)
    together = min(count, WINDOWS * (order.window + longest)) if order.shuffle == "shards" else count
    need = together * max(source.layout.image_bytes for source in sources)
    if need > room:
        raise UsageError(
            f"shuffle={order.shuffle!r} reads {together} samples together, {need / 1e6:.0f} MB, and the cache of "
            f"this remote build has {room / 1e6:.0f} MB: give a larger cache_bytes, or shuffle='shards' with a smaller "
            "window"
        )


def announce(collection: Collection, order: Order, rows: Rows) -> None:
    """Let the cache fetch what the next of `rows` lie in."""
    if collection.room is not None:
        collection.prefetch(rows[: WINDOWS * order.window])
