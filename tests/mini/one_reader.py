"""Read every shard of a remote build in a process of its own: python -m tests.mini.one_reader URL CACHE BYTES."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from sar_data.errors import SarDataError
from sar_data.sealed.files import open_files
from sar_data.sealed.opened import Build


def main(url: str, cache: str, limit: str) -> None:
    try:
        files = open_files(url, Path(cache), int(limit))
        manifest = Build.open(files.folder).manifest
        names = sorted({shard.file for split in manifest.splits.values() for shard in split.shards})
        files.prefetch(names)
        for name in names:
            sys.stdout.write(f"{hashlib.sha256(files.path(name).read_bytes()).hexdigest()}  {name}\n")
        files.close()
    except SarDataError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
