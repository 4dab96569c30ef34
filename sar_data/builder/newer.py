"""Whether files of a source are newer than the build that was sealed from them, as far as their times tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sar_data.sources.filter import Filtered
from sar_data.sources.subtree import Subtree
from sar_data.sources.tree import Folder
from sar_data.spec import Tree


def newer_than(sealed: Path, source: Path, tree: Tree, records: pa.Table) -> str | None:
    """Say which files of the records changed after the file `sealed` was written; None where none did.

    A recipe covers names and sizes, so that another picture of the same size goes unseen. Of archives the time is that
    of the archive.
    """
    limit = sealed.stat().st_mtime_ns
    paths = list(_files(source, tree, records))
    newer = [path for path in paths if os.stat(path).st_mtime_ns > limit]
    if not newer:
        return None
    return (
        f"{len(newer):,} of {len(paths):,} source files are newer than the build, such as {newer[0]}: it has the "
        "pixels that they had before. Build again with `rehash=True`, which reads the contents of all files"
    )


def _files(source: Path, tree: Tree, records: pa.Table) -> Iterator[str]:
    folder = _folder(tree)
    if folder is not None:
        files = pc.list_flatten(records["files"].combine_chunks())
        yield from (os.path.join(folder, path) for path in pc.unique(pc.struct_field(files, "path")).to_pylist())
    elif source.is_dir():  # of archives
        yield from (entry.path for entry in os.scandir(source) if entry.is_file())
    else:
        yield str(source)


def _folder(tree: Tree) -> str | None:
    """Return the folder that a tree is, None where it is an archive."""
    if isinstance(tree, Subtree):
        above = _folder(tree.tree)
        return None if above is None else os.path.join(above, tree.folder)
    if isinstance(tree, Filtered):
        return _folder(tree.tree)
    return tree.root if isinstance(tree, Folder) else None
