"""The files of another program's container from which a build is made, with their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath

from sar_data.builder.fit import Fitted
from sar_data.progress import Progress
from sar_data.sealed.documents import ImportedFrom
from sar_data.sources.archives.tree import archives_of
from sar_data.system.store import Place, absolute

BLOCK = 1 << 22  # bytes that are read at once


def imported_from(source: Place, fit: Fitted, progress: Progress | None) -> ImportedFrom | None:
    """Return the container of a source by name, kind and the sha256 of its files; None for files as published."""
    if (container := fit.pipeline.imported) is None:
        return None
    parts: dict[str, tuple[int, Callable[[int, int], bytes]]] = {
        path: (fit.tree.size(path), partial(fit.tree.pread, path)) for path in container.files
    }
    if not parts:  # members of archives are known by their own hashes, the archives by those here
        parts = {name: (archive.size, archive.read) for name, archive in archives_of(fit.tree).items()}
    digests = {}
    for done, (name, (size, read)) in enumerate(parts.items(), 1):
        digest = hashlib.sha256()
        for start in range(0, size, BLOCK):
            digest.update(read(start, min(BLOCK, size - start)))
        digests[name] = digest.hexdigest()
        if progress:
            progress("hash", done, len(parts))
    return ImportedFrom(path=PurePosixPath(absolute(source)).name, container=container.container, sha256=digests)
