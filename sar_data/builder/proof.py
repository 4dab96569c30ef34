"""A shard's proof: written after the shard itself, it says what the shard holds and makes it count as done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from sar_data.sealed.index import MASKED
from sar_data.statistics.stats import BandStats
from sar_data.system import durable

FACTS = ("recipe", "bytes", "fallbacks", "narrowed", "clipped", "mask_pixels")
DIGEST = 16  # bytes of xxh3_128
SLOTS = pa.schema(
    [
        ("valid", pa.bool_()),
        ("path", pa.string()),
        ("reason", pa.string()),
        ("xxh3", pa.string()),
        ("mask_xxh3", pa.string()),
        ("files", pa.list_(pa.string())),
        ("masked", pa.list_(MASKED)),
        ("offset", pa.int64()),
        ("mask_offset", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Proof:
    """`slots` has one row a slot; `bytes` is the length of the shard's file, `mask_pixels` counts each mask value."""

    recipe: str
    bytes: int
    fallbacks: int
    narrowed: int
    clipped: list[int]
    mask_pixels: list[int]
    statistics: BandStats | None
    slots: pa.Table

    def save(self, path: Path) -> None:
        """Write the proof behind its own digest: no fsync, since one that a power cut tore is not believed."""
        facts: dict[str, Any] = {name: getattr(self, name) for name in FACTS}
        facts["statistics"] = self.statistics and self.statistics.to_json()
        table = self.slots.replace_schema_metadata({"proof": json.dumps(facts)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue()
        durable.write(path, xxhash.xxh3_128_digest(data) + data, sync=False)

    @classmethod
    def load(cls, path: Path) -> Proof | None:
        """Return a proof, or None where there is none that can be read."""
        try:
            data = path.read_bytes()
            if xxhash.xxh3_128_digest(data[DIGEST:]) != data[:DIGEST]:
                return None
            table = pa.ipc.open_file(data[DIGEST:]).read_all()
            facts = json.loads(table.schema.metadata[b"proof"])
            statistics = facts.pop("statistics")
            return cls(**facts, statistics=statistics and BandStats.from_json(statistics), slots=table)
        except (OSError, pa.ArrowException, KeyError, ValueError, TypeError):
            return None
