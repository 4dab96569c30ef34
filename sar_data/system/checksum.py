"""Checksums of files."""

from __future__ import annotations

import hashlib
import os

from sar_data.system.regular import open_regular

BLOCK = 1 << 20


def sha256(path: str) -> str:
    """Return a regular file's sha256, read in blocks; raise BuildError where there is none that can be read.

    As many bytes are read as it says it has: what the kernel invents (/proc) has none, and may never end.
    """
    digest = hashlib.sha256()
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        left = os.fstat(file.fileno()).st_size
        while left > 0 and (block := file.read(min(BLOCK, left))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()
