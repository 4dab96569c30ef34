"""A shard's proof: written after the shard itself, it says what the shard holds and makes it count as done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pydantic
import xxhash

from sar_data.sealed.index import MASKED
from sar_data.sealed.names import Count, RelativePath, Sha256
from sar_data.statistics.stats import BandStats
from sar_data.system import durable
from sar_data.system.arrow import read_table

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
        ("figures", pa.list_(pa.float64())),  # [band, FIGURES] of a valid slot, where statistics are kept
        ("thumbnail", pa.binary()),  # int8 [band, CELLS] of a valid slot, where statistics are kept
    ]
)


class Facts(pydantic.BaseModel):
    """What a proof says beside its slots and its statistics."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    recipe: Sha256
    bytes: Count
    fallbacks: Count
    narrowed: Count
    clipped: list[Count]
    unvalued: list[Count]
    suspects: list[list[Count]]
    pixels: Count
    mask_pixels: list[Count]
    blank: dict[str, list[str]]
    sums: dict[RelativePath, Sha256]


@dataclass(frozen=True, slots=True)
class Proof:
    """`slots` has one row a slot; `bytes` is the length of the shard's file, `mask_pixels` counts each mask value.

    `suspects` [reason, band] counts, of `pixels` of a band, those that may be none. `blank` has keys by reason, `sums`
    the sha256 of files of the shard that were hashed while they were written.
    """

    recipe: str
    bytes: int
    fallbacks: int
    narrowed: int
    clipped: list[int]
    unvalued: list[int]
    suspects: list[list[int]]
    pixels: int
    mask_pixels: list[int]
    blank: dict[str, list[str]]
    sums: dict[str, str]
    statistics: BandStats | None
    slots: pa.Table

    def fits(self, count: int, units: Sequence[str]) -> bool:
        """Say whether there is a slot for each of `count` records, and a figure for each band."""
        lists = (self.clipped, self.unvalued, *self.suspects)
        own = units if self.statistics is None else self.statistics.units
        return len(self.slots) == count and {*map(len, lists)} == {len(units)} and tuple(own) == tuple(units)

    def save(self, path: Path) -> None:
        """Write the proof behind its own digest: no fsync, since one that a power cut tore is not believed."""
        facts = {name: getattr(self, name) for name in Facts.model_fields}
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
            table = read_table(data[DIGEST:], path.name)
            document: dict[str, Any] = json.loads(table.schema.metadata[b"proof"])
            statistics = document.pop("statistics")
            facts = Facts.model_validate(document)
            table.validate(full=True)  # a digest finds damage, and no lengths and offsets that somebody made up
            if not table.schema.equals(SLOTS):
                return None
            return cls(**dict(facts), statistics=statistics and BandStats.from_json(statistics), slots=table)
        except (OSError, pa.ArrowException, AttributeError, LookupError, ValueError, TypeError, RecursionError):
            return None
