"""A file to fetch, how it is verified, and the verified file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sar_data.download import digest, sniff
from sar_data.errors import FetchError, UsageError
from sar_data.sealed.names import name_flaw

FIRST_SIGHT = "sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A file to fetch: its name on disk, its addresses in order, and how it is verified.

    `checksum` is "md5:…" or "sha256:…" as published. `seen` is one recorded at first sight, which the file must still
    have. `size` is exact, in bytes. Raises UsageError for a name that is a path and a checksum of an unknown kind.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str | None = None
    seen: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if reason := name_flaw(self.name):
            raise UsageError(f"{self.name!r}: {reason}")
        if self.expected is not None and self.algorithm not in digest.ALGORITHMS:
            kinds = ", ".join(digest.ALGORITHMS)
            raise UsageError(f"{self.name}: expected a checksum of {kinds} before a colon, found {self.expected!r}")

    @property
    def expected(self) -> str | None:
        return self.checksum or self.seen

    @property
    def algorithm(self) -> str:
        return (self.expected or FIRST_SIGHT).partition(":")[0]

    def mismatch(self, size: int, checksum: str) -> str | None:
        """Return how a file of that size and checksum differs from this one; None if it does not."""
        if self.size is not None and size != self.size:
            return f"expected {self.size:,} bytes as published, found {size:,}"
        if self.expected is None or checksum == self.expected.lower():
            return None
        if self.checksum is None:
            return f"expected {self.seen} as at first download, found {checksum}: the file has changed since"
        return f"expected the published {self.checksum}, found {checksum}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFile:
    """A verified file: its checksum is the expected or first observed one; `url` is None if it existed already."""

    path: Path
    bytes: int
    checksum: str
    url: str | None


def verify_file(target: Target, path: Path, step: Callable[[int, int], None]) -> VerifiedFile:
    """Return the facts of an existing file; raise FetchError unless it is the expected one.

    `step` gets (bytes read, total bytes).
    """
    if not path.is_file():  # a pipe would block its reader, and a device has no end
        raise FetchError(f"{path}: expected a file, found a folder, a pipe or a device. Move it away")
    try:
        size, checksum = path.stat().st_size, "unread"
        with path.open("rb") as file:
            sniff.check_head(target.name, file.read(sniff.HEAD_BYTES))
        if target.size in (None, size):  # else reading it is useless
            checksum = digest.hash_file(path, target.algorithm, lambda have: step(have, size))
    except FetchError:
        raise
    except OSError as error:
        raise FetchError(f"{path}: expected a file that can be read: {error.strerror or error}") from error
    if problem := target.mismatch(size, checksum):
        raise FetchError(f"{path}: {problem}. Move it away and run the same command again")
    return VerifiedFile(path=path, bytes=size, checksum=checksum, url=None)
