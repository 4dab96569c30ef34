"""A file that is being fetched: NAME.part, locked by its process, with what is known of it in NAME.part.json."""

from __future__ import annotations

import fcntl
import glob
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from sar_data import durable
from sar_data.errors import TargetError

PART = ".part"
LOOK_AGAIN_S = 0.1
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
        self.note = replace(_read(_note_path(target)), pid=os.getpid(), host=os.uname().nodename)
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
        self._write_note()

    def drop(self) -> None:
        """Forget what is kept."""
        if not self.have:
            return
        # Before the note: a killed process must not leave old bytes under a new file's name.
        os.ftruncate(self.descriptor, 0)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        self.have = 0
        self._file = durable.Partial(self.descriptor, early=True)

    def append(self, block: bytes) -> None:
        """Write a block behind the others; raise TargetError where the disk is full."""
        try:
            self._file.write(block)
        except OSError:
            # A write cut short by a full disk may have left some of its bytes.
            self.have = os.fstat(self.descriptor).st_size
            with durable.explained(self.target, "--to"):
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
                "another --to."
            )

    def publish(self) -> None:
        """Give the file its name, once its bytes are on the disk."""
        with durable.explained(self.target, "--to"):
            os.fsync(self.descriptor)
            os.replace(_part_path(self.target), self.target)
            durable.sync_path(self.target.parent)
            _tidy(self.target)

    def sign(self) -> None:
        """Say in the note who holds the file."""
        self._write_note()

    def _write_note(self) -> None:
        with durable.explained(self.target, "--to"):
            durable.write(_note_path(self.target), json.dumps(asdict(self.note), indent=1).encode(), sync=False)


@contextmanager
def held(target: Path, wait: Callable[[float], object], say: Callable[[str], None]) -> Iterator[Part | None]:
    """Lock the part of `target`; yield None where another process published the target in the meantime.

    Another holder is waited for, and named through `say`. The lock ends with the process, and an empty part with
    the block. `wait` sleeps so many seconds, and may raise.
    """
    said = False
    with durable.explained(target, "--to"):
        target.parent.mkdir(parents=True, exist_ok=True)
    while True:
        if target.exists():
            if not _part_path(target).exists():
                _tidy(target)
            yield None
            return
        with durable.explained(target, "--to"):
            descriptor = os.open(_part_path(target), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            if _locked(target, descriptor):
                part = Part(target, descriptor)
                _sweep(target)
                part.sign()
                try:
                    yield part
                finally:
                    _leave(part)
                return
        except BlockingIOError:
            if not said:
                note, said = _read(_note_path(target)), True
                say(f"{target.name}: process {note.pid} on {note.host or 'unknown'} is fetching it: waiting for it")
            wait(LOOK_AGAIN_S)
        finally:
            os.close(descriptor)


def _locked(target: Path, descriptor: int) -> bool:
    """Lock the file that is the part now; False where its last holder gave it its name or removed it meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        raise TargetError(f"{target.parent}: expected a disk that locks files: {error.strerror}") from error
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(_part_path(target)))
    return False


def _leave(part: Part) -> None:
    """Remove a part without bytes, so that nothing is left where nothing was begun."""
    path = _part_path(part.target)
    with suppress(FileNotFoundError):
        if not part.have and os.path.samestat(os.fstat(part.descriptor), os.stat(path)):
            _note_path(part.target).unlink(missing_ok=True)
            path.unlink()


def _tidy(target: Path) -> None:
    """Remove the note of a file that is published."""
    _note_path(target).unlink(missing_ok=True)
    _sweep(target)


def _sweep(target: Path) -> None:
    """Remove the notes that killed processes did not finish."""
    note = _note_path(target)
    for path in note.parent.glob(f"{glob.escape(note.name)}.*{durable.PARTIAL}"):
        path.unlink(missing_ok=True)


def _part_path(target: Path) -> Path:
    return target.with_name(target.name + PART)


def _note_path(target: Path) -> Path:
    return target.with_name(f"{target.name}{PART}.json")


def _read(path: Path) -> Note:
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
