"""Where a build's files are, so that readers need not know whether it lies in a folder or behind an address."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from sar_data.system.store import is_url

if TYPE_CHECKING:
    from sar_data.sealed.remote.build import Remote


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
    return open_remote(str(build), cache, cache_bytes) if is_url(build) else Local(Path(build))


def open_remote(url: str, cache: str | Path | None = None, cache_bytes: int | None = None) -> Remote:
    """Return the files of the build at a URL, as `open_files` does."""
    from sar_data.sealed.remote.build import Remote
    from sar_data.sealed.remote.cache import Cache

    return Remote.open(url, Cache(Path(cache) if cache else cache_folder(), cache_bytes))


def cache_folder() -> Path:
    """Return the folder for what comes from stores, and for what is on its way there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sar-data"
