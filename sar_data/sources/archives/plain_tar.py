"""Convert a compressed or split archive once into a plain tar or zip that is then read in place.

The tar is .partial until it is complete and flushed. The bytes of an interrupted run are compared with the archive,
and kept where they are equal. The name contains a hash of the archive, so that no other one is used.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from sar_data.errors import SourceError, TargetError
from sar_data.progress import Progress, Say
from sar_data.sources.archives.decompress import min_bytes, read_blocks
from sar_data.sources.archives.detect import PackedArchive
from sar_data.sources.archives.rules import max_bytes
from sar_data.sources.archives.spanned import join_parts
from sar_data.system import durable, locks, private

STAGE = "unpack MB"
FLUSHED = 64 << 20
END = bytes(512)
LOOK_AGAIN_S = 0.1


def make_plain_archive(packed: PackedArchive, work: Path, progress: Progress, tell: Say) -> Path:
    """Return the plain tar of a compressed archive, or the one zip of its parts, made in `work` if missing.

    Raises SourceError for a damaged archive, TargetError where `work` is too small.
    """
    target = work / f"{packed.name}.{packed.hash}{packed.plain}"
    if private.is_trusted(target, packed.files):
        return target
    partial = target.with_name(f"{target.name}{durable.PARTIAL}")
    make_work_folder(work)
    with durable.explain_errors(partial, "work"), _lock_partial(partial, tell) as descriptor:
        if private.is_trusted(target, packed.files):  # made by another process meanwhile
            partial.unlink()
            return target
        _write(packed, descriptor, target, progress, tell)
        os.replace(partial, target)
        durable.sync_path(work)
    return target


def make_work_folder(work: Path) -> None:
    """Make the folder that work is kept in; raise TargetError where it cannot be written."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(work, os.W_OK | os.X_OK) else "it is read-only"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise TargetError(
            f"{work}: expected a folder to keep tables and plain tars in, but {reason}: choose a `work=…`"
        )


@contextmanager
def _lock_partial(partial: Path, tell: Say) -> Iterator[int]:
    """Open a partial file for this process alone; one that was renamed while this process waited is opened again."""
    reported = False

    def on_busy() -> None:
        nonlocal reported
        if not reported:
            tell(f"waiting for another process that writes {partial}")
        reported = True
        time.sleep(LOOK_AGAIN_S)

    descriptor = locks.acquire(partial, lambda: private.open_file(partial, os.O_RDWR | os.O_CREAT), on_busy)
    try:
        yield descriptor
    finally:
        locks.release(descriptor)


def _write(packed: PackedArchive, descriptor: int, target: Path, progress: Progress, tell: Say) -> None:
    existing, need = os.fstat(descriptor).st_size, min_bytes(packed)
    free = shutil.disk_usage(target.parent).free
    text = (
        f"{packed.where} is {'in parts' if packed.kind == 'zip' else 'compressed'}: it is turned once into the plain "
        f"{packed.plain[-3:]} {target}, of {need / 1e6:,.1f} MB or more"
    )
    if need - existing > free:
        raise TargetError(f"{text}; {free / 1e6:,.1f} MB are free. Free some space, or choose another `work=…`.")
    tell(
        f"{text}; {free / 1e6:,.1f} MB are free" + (f"; {existing / 1e6:,.1f} MB are there already" if existing else "")
    )
    at = flushed = 0
    with closing(_read_ahead(read_blocks(packed))) as blocks:
        for block, read in blocks:
            if at >= existing or os.pread(descriptor, len(block), at) != block:
                durable.write_all(descriptor, block, at)
            at += len(block)
            if at > max_bytes(packed.bytes):
                raise SourceError(f"{packed.where}: expected no more than {at} bytes of {packed.bytes}: it is a bomb")
            if at - flushed >= FLUSHED:  # so that fsync has little left to do
                durable.start_writeback(descriptor, flushed, at - flushed)
                flushed = at
            progress(STAGE, read // 1_000_000, packed.bytes // 1_000_000)
    if packed.spanned:
        join_parts(packed.where, descriptor, [path.stat().st_size for path in packed.files])
    elif packed.kind != "zip" and os.pread(descriptor, len(END), max(at - len(END), 0)) != END:
        raise SourceError(
            f"{packed.where}: expected a whole tar, found one that is cut off: is it, or its last part, whole?"
        )
    os.ftruncate(descriptor, at)
    os.fsync(descriptor)


def _read_ahead(blocks: Generator[tuple[bytes, int], None, None]) -> Generator[tuple[bytes, int], None, None]:
    """Yield blocks, the next of which is made by a thread meanwhile."""
    with closing(blocks), ThreadPoolExecutor(1) as pool:
        next_block = pool.submit(next, blocks, None)
        while block := next_block.result():
            next_block = pool.submit(next, blocks, None)
            yield block
