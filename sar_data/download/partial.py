"""A file during its download: its bytes in NAME.part, the facts about them in NAME.part.json."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from sar_data.errors import BuildError, TargetError
from sar_data.system import durable, strict_json
from sar_data.system.regular import read_regular

PART = ".part"
REJECTED = ".rejected"
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """The origin of the kept bytes, how the server identifies the file, which process owns it, and since which boot."""

    url: str = ""
    validator: str = ""
    total: int | None = None
    boot: str = ""
    pid: int = 0
    host: str = ""


class Part:
    """The `have` bytes received so far, written to the file at once, so that a killed process loses none."""

    def __init__(self, target: Path, descriptor: int) -> None:
        self.target = target
        self.descriptor = descriptor
        self.have = os.fstat(descriptor).st_size
        self.note = replace(read_note(note_path(target)), pid=os.getpid(), host=os.uname().nodename)
        self._file = durable.Partial(descriptor, early=True, size=self.have)
        os.lseek(descriptor, self.have, os.SEEK_SET)

    def resumable(self, url: str, checksum: str | None) -> bool:
        """Say whether the download can resume from `url`.

        With a checksum, bytes of any mirror will do. Without one they must have a validator and the same address, and
        be newer than the last restart of the machine, which may have lost unflushed bytes.
        """
        note = self.note
        if not self.have or not note.url or (note.total is not None and self.have > note.total):
            return False
        return checksum is not None or (note.url == url and bool(note.validator) and note.boot == _read_boot_id())

    def begin(self, url: str, validator: str, total: int | None) -> None:
        """Drop the kept bytes; remember the source of the bytes to come."""
        self.drop()
        self.note = replace(self.note, url=url, validator=validator, total=total, boot=_read_boot_id())
        self.sign()

    def drop(self) -> None:
        """Drop the kept bytes."""
        if not self.have:
            return
        # Before the note: a killed process must not leave old bytes under a new note.
        with durable.explain_errors(self.target, "to"):
            os.ftruncate(self.descriptor, 0)
            os.lseek(self.descriptor, 0, os.SEEK_SET)
        self.have = 0
        self._file = durable.Partial(self.descriptor, early=True)

    def append(self, block: bytes) -> None:
        """Write a block behind the others; raise TargetError where the disk is full."""
        try:
            self._file.write(block)
        except OSError as error:
            # A write to a full disk may have written some of its bytes.
            self.have = os.fstat(self.descriptor).st_size
            if durable.is_full(error) and self.note.total:
                self.check_space(self.note.total - self.have)  # this error says how much is needed
            with durable.explain_errors(self.target, "to"):
                raise
        self.have += len(block)

    def head(self, size: int) -> bytes:
        return os.pread(self.descriptor, size, 0)

    def check_space(self, need: int) -> None:
        """Raise TargetError unless the disk has `need` bytes of free space."""
        free = shutil.disk_usage(self.target.parent).free
        if free < need:
            raise TargetError(
                f"{self.target}: needs {need / 1e6:,.1f} MB more, {free / 1e6:,.1f} MB free. Free some space or choose "
                "another `to=…`."
            )

    def publish(self) -> None:
        """Rename the part to the file's name, once its bytes are on the disk."""
        with durable.explain_errors(self.target, "to"):
            os.fsync(self.descriptor)
            os.replace(part_path(self.target), self.target)
            durable.sync_path(self.target.parent)
            note_path(self.target).unlink(missing_ok=True)

    def reject(self) -> Path:
        """Rename the bytes to a name that nothing reads, replacing earlier ones; return the path."""
        aside = self.target.with_name(self.target.name + REJECTED)
        with durable.explain_errors(self.target, "to"):
            os.replace(part_path(self.target), aside)
            note_path(self.target).unlink(missing_ok=True)
        return aside

    def sign(self) -> None:
        """Write the note, which also names the process that owns the file."""
        with durable.explain_errors(self.target, "to"):
            durable.write(note_path(self.target), json.dumps(asdict(self.note), indent=1).encode(), sync=False)


def part_path(target: Path) -> Path:
    """Return the path of the bytes of a target during its download."""
    return target.with_name(target.name + PART)


def note_path(target: Path) -> Path:
    """Return the path of the note of a target during its download."""
    return target.with_name(f"{target.name}{PART}.json")


def read_note(path: Path) -> Note:
    """Return a note; an empty one where it is missing or invalid."""
    try:
        document: Any = strict_json.loads(read_regular(path))
        note = Note(**{field.name: document[field.name] for field in fields(Note)})
    except (BuildError, ValueError, KeyError, TypeError):
        return Note()
    is_valid = isinstance(note.total, int | None) and all(
        isinstance(x, str) for x in (note.url, note.validator, note.boot)
    )
    return note if is_valid else Note()


def _read_boot_id() -> str:
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""
