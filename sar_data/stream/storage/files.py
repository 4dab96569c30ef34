"""Where a build's files are, so that readers need not know whether it lies in a folder or behind an address."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from sar_data.errors import UsageError, unknown

IO = ("auto", "mmap", "pread")
VERIFY = ("first", True, False)  # True is "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a build's files are read; sar_data.stream.dataset.Stream explains each field."""

    io: str = "auto"
    verify: bool | str = False
    cache: str | Path | None = None
    cache_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.io not in IO:
            raise unknown("io", self.io, IO)
        if self.verify not in VERIFY:
            raise UsageError(f"verify: expected 'first' or False, found {self.verify!r}")


class Files(Protocol):
    """The files of one build. Values can be pickled, and used on either side of a fork."""

    @property
    def folder(self) -> Path:
        """The local folder that holds the build's documents: give it to `Build.open`."""

    @property
    def room(self) -> int | None:
        """The bytes of the cache that files come through, None where they are at hand."""

    def path(self, name: str) -> Path:
        """Return a local path of the build-relative file `name`, fetched and verified where the build is remote.

        Open or map it before the same thread asks for another: until then it stays where it is. What is open or
        mapped stays readable for as long as it is, even if the cache has dropped the name.
        """

    def prefetch(self, names: Sequence[str]) -> None:
        """Say which files come next, in order; replaces what was said before and returns at once."""

    def close(self) -> None:
        """Stop fetching and let the cache drop what it likes: paths may vanish. The next request begins again."""


@dataclass(frozen=True, slots=True)
class Local:
    """A build in a folder: nothing to fetch."""

    folder: Path
    room: ClassVar[None] = None

    def path(self, name: str) -> Path:
        return self.folder / name

    def prefetch(self, names: Sequence[str]) -> None:
        return None

    def close(self) -> None:
        return None


def open_files(build: str | Path, cache: str | Path | None = None, cache_bytes: int | None = None) -> Files:
    """Return the files of the build at a path or at any fsspec URL (s3://, https://, memory://).

    A remote build comes through `cache`, by default `sar-data` below XDG_CACHE_HOME or ~/.cache, of at most
    `cache_bytes`, by default half of what that disk has to give. Credentials, endpoints and the like are fsspec's
    and the store's own configuration. Raises MissingExtra, RemoteError and BuildError.
    """
    if isinstance(build, Path) or "://" not in build:
        return Local(Path(build))
    from sar_data.stream.remote.build import Remote
    from sar_data.stream.remote.cache import Cache

    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sar-data"
    return Remote.open(build, Cache(Path(cache or default), cache_bytes))
