"""How a loader reads the files of a build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
