"""Build with small shards, and look at what lies on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.runners import Runner
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline

CONTAINERS = ("lmdb", "webdataset", "zarr", "zarr+zstd")


def options(container: str = "zarr", **chosen: Any) -> dict[str, Any]:
    """Return options for small shards and a random split; `container` may be "zarr+zstd"."""
    name, _, compression = container.partition("+")
    return {**{"format": name, "compression": compression or "none", "split": "random", "shard_length": 16, **chosen}}


def make(pipeline: Pipeline, source: Path, out: Path, *, runner: Runner | None = None, **chosen: Any) -> Build:
    """Build with the defaults of `options`."""
    return build(BuildRequest(dataset=pipeline, source=source, out=out, **options(**chosen)), runner=runner)


def visible(out: Path) -> list[str]:
    """Return the folders that a user would take for builds: DATASET/VERSION/NAME without a leading dot."""
    return sorted(path.name for path in out.glob("*/*/*") if not path.name.startswith("."))


def snapshot(root: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, size and time of change of everything below `root`, to show that nothing was written."""
    found = {}
    for path in [root, *root.rglob("*")]:
        facts = os.lstat(path)
        found[str(path.relative_to(root))] = facts.st_ino, facts.st_size, facts.st_mtime_ns
    return found


def contents(root: Path) -> dict[str, bytes]:
    """Return the bytes of every file below `root`."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
