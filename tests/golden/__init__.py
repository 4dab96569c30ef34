"""Golden figures: the content and the bytes of every miniature's build, as the first release of them wrote them.

builds.json has a row a miniature: the digest of its raw archive, and a container's content digest and digest of files.
Version 2 of Zarr added an array, the keys as bytes: `zarr` is of all files but these, `zarr keys` of these.
A miniature whose own bytes differ (another processor rounds a logarithm otherwise) has nothing to be compared with.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import lmdb
import pytest

from sar_data.formats.zarr_keys import KEYS
from sar_data.sealed.opened import SUMS_NAME, Build

BUILDS = Path(__file__).parent / "builds.json"
DOCUMENTS = ("index.parquet", "samples.parquet", "zarr.json")  # which may grow; shards and arrays may not change


@cache
def golden() -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = json.loads(BUILDS.read_text())
    return rows


@cache
def archive_digest(archive: Path) -> str:
    """Return the sha256 over paths and contents of a raw archive."""
    digest = hashlib.sha256()
    for path in sorted(archive.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(archive)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def build_digest(build: Build) -> str:
    """Return content digest and digest of the files: of LMDB the keys and values in order, else the bytes."""
    digest = hashlib.sha256()
    if build.manifest.format == "lmdb":
        for split in sorted(build.manifest.splits):
            with lmdb.open(str(build.path / split), readonly=True, lock=False) as env, env.begin() as txn:
                for key, value in txn.cursor():
                    digest.update(split.encode() + key + hashlib.sha256(value).digest())
    else:
        for line in _sums(build, keys=False):
            if (name := line.rpartition("  ")[2]).count("/") == 1 and name.endswith("/zarr.json"):
                line = f"{hashlib.sha256(_without_keys(build.path / name)).hexdigest()}  {name}"
            digest.update(line.encode() + b"\n")
    return f"{build.manifest.content_digest[:16]} {digest.hexdigest()[:16]}"


def keys_digest(build: Build) -> str:
    """Return the digest of the files that version 2 of Zarr added to the splits."""
    return hashlib.sha256("".join(f"{line}\n" for line in _sums(build, keys=True)).encode()).hexdigest()[:16]


def _sums(build: Build, *, keys: bool) -> list[str]:
    """Return the lines of SHA256SUMS: those of the keys as bytes, or those of all other shards and arrays."""
    lines = [line.rpartition("  ") for line in (build.path / SUMS_NAME).read_text().splitlines()]
    return ["".join(line) for line in lines if line[2] not in DOCUMENTS and (f"/{KEYS}/" in line[2]) == keys]


def _without_keys(path: Path) -> bytes:
    """Return the document of a split as version 1 of Zarr wrote it."""
    document = json.loads(path.read_text())
    del document["consolidated_metadata"]["metadata"][KEYS]
    return json.dumps(document, indent=2).encode()


def check(name: str, archive: Path, build: Build) -> None:
    """Compare a build of the miniature `name` with its golden row; a miniature without a row is not compared."""
    row = golden().get(name)
    if row is None:
        return
    if row["archive"] != archive_digest(archive):
        pytest.skip(f"{name}: the miniature's own bytes differ on this machine")
    assert build_digest(build) == row[build.manifest.format], f"{name}: content or shards changed"
    if build.manifest.format == "zarr":
        assert keys_digest(build) == row["zarr keys"], f"{name}: keys as bytes changed"
