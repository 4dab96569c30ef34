"""The files of another program's container from which a build is made, with their hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sar_data.builder.fit import Fitted
from sar_data.progress import Progress
from sar_data.sealed.documents import ImportedFrom
from sar_data.spec import Tree

BLOCK = 1 << 22  # bytes that are read at once


def imported_from(source: Path, fit: Fitted, progress: Progress | None) -> ImportedFrom | None:
    """Return the container of a source by name, kind and the sha256 of its files; None for files as published."""
    if (container := fit.pipeline.imported) is None:
        return None
    digests = {}
    for done, path in enumerate(container.files, 1):
        digests[path] = _sha256(fit.tree, path)
        if progress:
            progress("hash", done, len(container.files))
    return ImportedFrom(path=source.absolute().name, container=container.container, sha256=digests)


def _sha256(tree: Tree, path: str) -> str:
    digest, size = hashlib.sha256(), tree.size(path)
    for start in range(0, size, BLOCK):
        digest.update(tree.pread(path, start, min(BLOCK, size - start)))
    return digest.hexdigest()
