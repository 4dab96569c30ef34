"""Checksums of files."""

from __future__ import annotations

import hashlib

BLOCK = 1 << 20


def sha256(path: str) -> str:
    """Return a file's sha256, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
