"""Checksums of files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sar_data.system.regular import open_regular

BLOCK = 1 << 20


def sha256(path: Path | str) -> str:
    """Return the sha256 of a regular file, read in blocks; raise BuildError where it cannot be opened."""
    descriptor = open_regular(path)
    try:
        return sha256_of(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(descriptor: int) -> str:
    """Return the sha256 of an open regular file from its first byte on; where the descriptor stands does not change.

    Only as many bytes are read as the file's size says: files of the kernel (/proc) report 0 and may never end.
    """
    digest, at, size = hashlib.sha256(), 0, os.fstat(descriptor).st_size
    while block := os.pread(descriptor, min(BLOCK, size - at), at):
        digest.update(block)
        at += len(block)
    return digest.hexdigest()
