"""A file that is being fetched: the bytes that came in NAME.part, what is known of them in NAME.part.json."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from sar_data.errors import TargetError
from sar_data.system import durable

PART = ".part"
REJECTED = ".rejected"
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Where the kept bytes come from and how the server recognises the file; who holds it, and since which boot."""

    url: str = ""
    validator: str = ""
    total: int | None = None
    boot: str = ""
    pid: int = 0
    host: str = ""


class Part:
    """The bytes that came so far, `have` of them. Written to the file at once, so that a killed process loses none."""

    def __init__(self, target: Path, descriptor: int) -> None:
        self.target = target
        self.descriptor = descriptor
        self.have = os.fstat(descriptor).st_size
        self.note = replace(read_note(note_path(target)), pid=os.getpid(), host=os.uname().nodename)
        self._file = durable.Partial(descriptor, early=True, size=self.have)
        os.lseek(descriptor, self.have, os.SEEK_SET)

    def resumable(self, url: str, checksum: str | None) -> bool:
        """Say whether what is kept can be gone on with from `url`.

        Where a checksum has the last word, bytes of any mirror will do. Else they must be recognisable, of the same
        address, and not from before a restart of the machine, which may have lost what was not yet on the disk.
        """
        note = self.note
        if not self.have or not note.url or (note.total is not None and self.have > note.total):
            return False
        return checksum is not None or (note.url == url and bool(note.validator) and note.boot == _boot())

    def begin(self, url: str, validator: str, total: int | None) -> None:
        """Forget what is kept; remember where the bytes come from that will be appended."""
        self.drop()
        self.note = replace(self.note, url=url, validator=validator, total=total, boot=_boot())
        self.sign()

    def drop(self) -> None:
        """Forget what is kept."""
        if not self.have:
            return
        # Before the note: a killed process must not leave old bytes under a new file's name.
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
            # A write cut short by a full disk may have left some of its bytes.
            self.have = os.fstat(self.descriptor).st_size
            if durable.is_full(error) and self.note.total:
                self.check_space(self.note.total - self.have)  # which knows what is needed
            with durable.explain_errors(self.target, "to"):
                raise
        self.have += len(block)

    def head(self, size: int) -> bytes:
        return os.pread(self.descriptor, size, 0)

    def check_space(self, need: int) -> None:
        """Raise TargetError unless the disk has room for so many bytes more."""
        free = shutil.disk_usage(self.target.parent).free
        if free < need:
            raise TargetError(
                f"{self.target}: needs {need / 1e6:,.1f} MB more, {free / 1e6:,.1f} MB free. Free some space or choose "
                "another `to=…`."
            )

    def publish(self) -> None:
        """Give the file its name, once its bytes are on the disk."""
        with durable.explain_errors(self.target, "to"):
            os.fsync(self.descriptor)
            os.replace(part_path(self.target), self.target)
            durable.sync_path(self.target.parent)
            note_path(self.target).unlink(missing_ok=True)

    def reject(self) -> Path:
        """Put the bytes aside under a name that nothing reads, in the place of earlier ones; return it."""
        aside = self.target.with_name(self.target.name + REJECTED)
        with durable.explain_errors(self.target, "to"):
            os.replace(part_path(self.target), aside)
            note_path(self.target).unlink(missing_ok=True)
        return aside

    def sign(self) -> None:
        """Write the note, which also says who holds the file."""
        with durable.explain_errors(self.target, "to"):
            durable.write(note_path(self.target), json.dumps(asdict(self.note), indent=1).encode(), sync=False)


def part_path(target: Path) -> Path:
    """Return where the bytes of a target are while it is fetched."""
    return target.with_name(target.name + PART)


def note_path(target: Path) -> Path:
    """Return where the note of a target is while it is fetched."""
    return target.with_name(f"{target.name}{PART}.json")


def read_note(path: Path) -> Note:
    """Return a note; an empty one where there is none that can be read."""
    try:
        found: Any = json.loads(path.read_bytes())
        note = Note(**{field.name: found[field.name] for field in fields(Note)})
    except (OSError, ValueError, KeyError, TypeError):
        return Note()
    kept = isinstance(note.total, int | None) and all(isinstance(x, str) for x in (note.url, note.validator, note.boot))
    return note if kept else Note()


def _boot() -> str:
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""
