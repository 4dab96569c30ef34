"""Checksums of files."""

from __future__ import annotations

import hashlib
import os

from sar_data.system.regular import open_regular

BLOCK = 1 << 20


def sha256(path: str) -> str:
    """Return the sha256 of a regular file, read in blocks; raise BuildError where it cannot be read.

    Only as many bytes are read as the file's size says: files of the kernel (/proc) report 0 and may never end.
    """
    digest = hashlib.sha256()
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        remaining = os.fstat(file.fileno()).st_size
        while remaining > 0 and (block := file.read(min(BLOCK, remaining))):
            digest.update(block)
            remaining -= len(block)
    return digest.hexdigest()
