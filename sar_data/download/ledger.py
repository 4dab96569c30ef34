"""sources.json: which files were fetched into a folder, from where, and how each is known."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sar_data.errors import FetchError
from sar_data.sealed.names import Checksum, Count, Name, first_flaw
from sar_data.system import durable

NAME = "sources.json"


class Entry(BaseModel):
    """A verified file: `published` if its publisher names the checksum, `observed` if it is that of first sight.

    `url` is where it came from, without what may be secret; `time` is when it was first verified (UTC, ISO 8601).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    bytes: Count
    checksum: Checksum
    kind: Literal["published", "observed"]
    time: str


class Ledger(BaseModel):
    """The document: file name → entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    files: dict[Name, Entry] = {}


def read(folder: Path) -> Ledger:
    """Return a folder's ledger, an empty one where there is none; raise FetchError where it cannot be read."""
    path = folder / NAME
    try:
        return Ledger.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Ledger()
    except ValidationError as error:
        raise FetchError(
            f"{path}: expected what an earlier fetch wrote, but {first_flaw(error)}. Move it away; the files are "
            "verified again"
        ) from None


def record(folder: Path, name: str, entry: Entry) -> None:
    """Write an entry, unless the same file is recorded already; other processes and threads may do so too."""
    with _locked(folder), durable.explained(folder / NAME, "to"):
        ledger = read(folder)
        old = ledger.files.get(name)
        if old is not None and (old.bytes, old.checksum, old.kind) == (entry.bytes, entry.checksum, entry.kind):
            return
        for stale in folder.glob(f"{NAME}.*{durable.PARTIAL}"):  # of a process that was killed
            stale.unlink(missing_ok=True)
        files = {**ledger.files, name: entry}
        document = Ledger(files={key: files[key] for key in sorted(files)}).model_dump()
        durable.write(folder / NAME, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
