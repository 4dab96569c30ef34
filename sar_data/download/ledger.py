"""sources.json: which files were fetched into a folder, from where, and how each is known."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sar_data.errors import BuildError, FetchError
from sar_data.sealed.names import Checksum, Count, Name, first_flaw
from sar_data.system import durable, locks, strict_json
from sar_data.system.regular import read_regular

NAME = "sources.json"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Entry(BaseModel):
    """A verified file: `published` if its publisher names the checksum, `observed` if it is that of first sight.

    `url` is where it came from, redacted; `time` is when it was first verified (UTC, ISO 8601).
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
    if not os.path.lexists(path):
        return Ledger()
    try:
        return Ledger.model_validate(strict_json.loads(read_regular(path)))
    except (BuildError, ValueError) as error:
        reason = first_flaw(error) if isinstance(error, ValidationError) else f"it cannot be read: {error!s:.200}"
        raise FetchError(
            f"{path}: expected what an earlier fetch wrote, but {reason}. Move it away; the files are verified again"
        ) from None


def record(folder: Path, name: str, entry: Entry) -> None:
    """Write an entry, unless the same file is recorded already; other processes and threads may do so too."""
    with durable.explain_errors(folder / NAME, "to"), locks.exclusive_lock(os.open(folder, FOLDER)):
        ledger = read(folder)
        old = ledger.files.get(name)
        if old is not None and (old.bytes, old.checksum, old.kind) == (entry.bytes, entry.checksum, entry.kind):
            return
        durable.sweep(folder, NAME)
        files = {**ledger.files, name: entry}
        document = Ledger(files={key: files[key] for key in sorted(files)}).model_dump()
        durable.write(folder / NAME, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
