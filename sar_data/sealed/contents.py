"""The content digest: what a build stores, the same in all containers, shards and orders."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sar_data.sealed.records import named_values


def content_digest(packed: pa.Table) -> str:
    """Return the sha256 over (key, split, targets, objects, hashes of image and mask) of packed rows, sorted by key.

    It depends only on what is stored, not on container, shards, order, workers or interruptions.
    """
    return digest_lines(content_lines(packed))


def content_lines(packed: pa.Table) -> pa.Table:
    """Return key and line of each packed row: the content digest is that of the lines of all rows."""
    encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, sort_keys=True).encode
    known: dict[tuple[Any, ...], str] = {}  # few combinations of labels are different
    lines = []
    columns = (packed[name].to_pylist() for name in ("key", "split", "xxh3", "mask_xxh3", "objects"))
    targets = named_values(packed["targets"].combine_chunks())
    for own, key, split, image, mask, objects in zip(targets, *columns, strict=True):
        # Pairs sorted by name, so that the maps of schema 2 have the same digest as the lists of schema 3.
        labels = tuple(sorted(own))
        row = f"{encode(key)},{encode(split)},{known.get(labels) or known.setdefault(labels, encode(labels))},"
        row += encode(image)
        if mask or objects:
            row += f",{encode(mask)},{encode([_object_row(item) for item in objects or ()])}"
        lines.append(f"[{row}]\n".encode())
    return pa.table({"key": packed["key"], "line": pa.array(lines, pa.large_binary())})


def digest_lines(lines: pa.Table) -> str:
    """Return the sha256 over lines of content, sorted by their keys."""
    digest, texts = hashlib.sha256(), lines["line"].combine_chunks()
    for place in pc.sort_indices(lines["key"]).to_numpy().tolist():
        digest.update(texts[place].as_buffer())
    return digest.hexdigest()


def _object_row(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "attrs": sorted([attr["name"], attr["value"]] for attr in item["attrs"] or ())}
