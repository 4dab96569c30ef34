"""A file that is wanted, how it is known to be the right one, and what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sar_data.download import digest, sniff
from sar_data.errors import FetchError, UsageError
from sar_data.sealed.names import name_flaw

FIRST_SIGHT = "sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file to fetch: its name on disk, its addresses in the order they are tried, and how it is known.

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
        """Say in what a file of that size and checksum differs from the one wanted; None if in nothing."""
        if self.size is not None and size != self.size:
            return f"expected {self.size:,} bytes as published, found {size:,}"
        if self.expected is None or checksum == self.expected.lower():
            return None
        if self.checksum is None:
            return f"expected {self.seen} as at first sight, found {checksum}: the file was changed since"
        return f"expected the published {self.checksum}, found {checksum}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A verified file: its checksum is the expected one, else that of first sight; no `url` if it was there already."""

    path: Path
    bytes: int
    checksum: str
    url: str | None


def verified(wanted: Wanted, target: Path, step: Callable[[int, int], None]) -> Fetched:
    """Return what is known of a file that is there; raise FetchError unless it is the one wanted.

    `step` is told (bytes read, bytes in all).
    """
    try:
        size, checksum = target.stat().st_size, "unread"
        with target.open("rb") as file:
            sniff.check(wanted.name, file.read(sniff.HEAD_BYTES))
        if wanted.size in (None, size):  # else it need not be read
            checksum = digest.of_file(target, wanted.algorithm, lambda have: step(have, size))
    except FetchError:
        raise
    except OSError as error:
        raise FetchError(f"{target}: expected a file that can be read: {error.strerror or error}") from error
    if problem := wanted.mismatch(size, checksum):
        raise FetchError(f"{target}: {problem}. Move it away and run the same command again")
    return Fetched(path=target, bytes=size, checksum=checksum, url=None)
