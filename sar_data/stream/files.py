"""Where a build's files are: here already, or fetched on demand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    def path(self, name: str) -> Path:
        """Return a local path of the file `name`, relative to the build; raise BuildError where there is none."""

    def prefetch(self, names: Iterable[str]) -> None:
        """Say which files are wanted next."""

    def close(self) -> None:
        """Give back what is held."""


@dataclass(frozen=True, slots=True)
class Local:
    """A build on this machine's disk."""

    root: Path

    def path(self, name: str) -> Path:
        return self.root / name

    def prefetch(self, names: Iterable[str]) -> None:
        return None

    def close(self) -> None:
        return None


def open_files(build: str | Path, cache: Path | None = None, cache_bytes: int | None = None) -> Files:
    """Return the files of a build at a path."""
    return Local(Path(build))
