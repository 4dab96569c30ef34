"""What a download would bring, before it begins: each file with its size, and the room on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sar_data.naming import few
from sar_data.spec import Source

State = Literal["there", "to fetch", "by hand"]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of a source: `size` in bytes as published, None where nobody says; `exact` where it is not rounded.

    `left` is what has not come yet.
    """

    name: str
    state: State
    size: int | None
    exact: bool
    left: int | None


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What a download into `folder` would bring: `needed_bytes` of the files with a known size, and `unknown` files."""

    folder: Path
    parts: Sequence[PlannedFile]
    needed_bytes: int
    unknown: Sequence[str]
    free_bytes: int

    def sentence(self) -> str:
        """Return what is to come, and the room for it, in words."""
        count = sum(part.state == "to fetch" for part in self.parts)
        more = f", and {few(list(self.unknown))} of unknown size" if self.unknown else ""
        need, free = self.needed_bytes / 1e9, self.free_bytes / 1e9
        return f"files to fetch: {count:,}, of {need:,.2f} GB{more}; {free:,.2f} GB are free"

    def document(self) -> dict[str, Any]:
        """Return the plan as JSON has it."""
        return asdict(self) | {"folder": str(self.folder)}


def plan_sources(sources: Iterable[Source], folder: Path) -> FetchPlan:
    """Return what a download of some sources into a folder would bring; no server is asked."""
    parts = [_plan_file(source, folder) for source in sources]
    to_come = [part for part in parts if part.state == "to fetch"]
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return FetchPlan(
        folder,
        parts,
        sum(part.left or 0 for part in to_come),
        [part.name for part in to_come if part.size is None],
        shutil.disk_usage(place).free,
    )


def _plan_file(source: Source, folder: Path) -> PlannedFile:
    exact = source.size is not None
    size = source.size if exact else source.about
    if (folder / source.file).exists():
        return PlannedFile(source.file, "there", size, exact, 0)
    partial = folder / f"{source.file}.part"
    begun = partial.stat().st_size if partial.exists() else 0
    left = None if size is None else max(0, size - begun)
    return PlannedFile(source.file, "by hand" if source.manual else "to fetch", size, exact, left)
