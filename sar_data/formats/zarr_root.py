"""The root group of a Zarr build, zarr.json beside the splits: other libraries open all of them at once by it.

It repeats the documents of the splits, so that no library lists the folder, in which there are files that are not
Zarr's. Builds of earlier versions do not have it, and nothing here reads it but `verify`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sar_data.errors import BuildError, TargetError
from sar_data.formats.container import Fault
from sar_data.formats.zarr_documents import NAME, compare, read_document
from sar_data.system.durable import write


def write_root(build: Path, splits: Sequence[str]) -> None:
    """Write the document of a build whose splits are complete; raise TargetError where theirs cannot be read back."""
    try:
        document = _document(build, splits)
    except BuildError as error:
        raise TargetError(f"{error}. Run the same command again: finished parts are kept.") from error
    write(build / NAME, json.dumps(document, indent=2).encode(), sync=False)


def root_faults(build: Path, splits: Sequence[str]) -> Iterator[Fault]:
    """Yield how the document differs from those of the splits; nothing without one, or where a split is wrong."""
    if not os.path.lexists(build / NAME):
        return
    try:
        expected = _document(build, splits)
    except (BuildError, LookupError, TypeError, AttributeError):
        return  # which is said of the split
    try:
        yield from compare(NAME, expected, read_document(build / NAME))
    except BuildError as error:
        yield Fault(NAME, "the document of this build", str(error))


def _document(build: Path, splits: Sequence[str]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for split in sorted(splits):
        group = read_document(build / split / NAME)
        arrays = group.pop("consolidated_metadata")["metadata"]
        members |= {split: group, **{f"{split}/{name}": arrays[name] for name in sorted(arrays)}}
    return {
        "attributes": {},
        "zarr_format": 3,
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": members},
        "node_type": "group",
    }
