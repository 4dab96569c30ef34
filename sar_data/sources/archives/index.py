"""Index archives: list the members of each once; a zip inside an archive becomes a folder of its name."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from sar_data.errors import TargetError
from sar_data.progress import Progress, Say
from sar_data.sources.archives.detect import DATA, TABLE, PackedArchive
from sar_data.sources.archives.members import BARE, DEFLATED, STORED, MemberCollector, verify_table
from sar_data.sources.archives.plain_tar import make_plain_archive, make_work_folder
from sar_data.sources.archives.rules import member_error
from sar_data.sources.archives.tar import IS_FOLDER
from sar_data.sources.archives.tar import walk as walk_tar
from sar_data.sources.archives.tree import Archive, ArchiveFile
from sar_data.sources.archives.zip import walk as walk_zip
from sar_data.system import durable

NESTED = 1  # the most folders above a zip inside an archive that is read as a folder
STAGE = "index MB"
EVERY = 1 << 14  # members between two reports
MAC = "__MACOSX"  # what macOS adds beside the only folder of a zip
Inner = tuple[str, int, int, int, int, int]  # what Gather.file takes


@dataclass(frozen=True, slots=True)
class Mount:
    """An archive, and the folder of the tree that contains its members."""

    folder: str
    packed: PackedArchive


def index_archives(mounts: Sequence[Mount], name: str, work: Path, progress: Progress, tell: Say) -> Archive:
    """Return the tree of some archives; its table, and plain tars, are stored in `work` under unique names.

    Raises SourceError for an archive that is damaged, hostile or unsupported, TargetError for a `work` that is
    read-only or too small.
    """
    files = []
    for packed in (mount.packed for mount in mounts):
        packed.check()
        files.append(make_plain_archive(packed, work, progress, tell) if packed.compressed else packed.files[0])
    parts = tuple(ArchiveFile.of(path) for path in files)
    facts = [(m.folder, m.packed.name, m.packed.hash, p.size, p.mtime_ns) for m, p in zip(mounts, parts, strict=True)]
    table = work / f".{name}.{xxhash.xxh3_64_hexdigest(json.dumps(facts).encode())}{TABLE}"
    archives = [str(path) for mount in mounts for path in mount.packed.files]
    digest = verify_table(table, facts, archives)
    if digest is None:
        collector = MemberCollector()
        for mount, part in zip(mounts, parts, strict=True):
            collector.open(part.path)
            _index_archive(collector, mount, part, progress)
        make_work_folder(work)
        durable.sweep(work, table.name)
        collector.save(table, facts)
        digest = verify_table(table, facts, archives)
    if digest is None:
        raise TargetError(f"{table}: expected the table just written, found it damaged. Choose another `work=…`.")
    return Archive(str(table.absolute()), digest, parts)


def _index_archive(collector: MemberCollector, mount: Mount, part: ArchiveFile, progress: Progress) -> None:
    descriptor = os.open(part.path, os.O_RDONLY)
    try:
        if mount.packed.kind == "zip":
            inner = _index_zip(collector, part.path, descriptor, 0, part.size, mount.folder)
        else:
            inner = _index_tar(collector, part, descriptor, mount.folder, progress)
        for path, offset, size, packed, crc, kind in inner:
            folder = path[: -len(".zip")]
            if collector.has_folder(folder):  # it is unpacked beside itself
                collector.file(path, offset, size, packed, crc, kind)
            elif kind == DEFLATED:
                reason = "expected a zip in an archive to be stored, found it deflated: unpack the outer one"
                raise member_error(part.path, path, reason)
            else:
                collector.archive = f"{part.path}: {path}"
                _index_zip(collector, collector.archive, descriptor, offset, size, folder)
        progress(STAGE, part.size // 1_000_000, part.size // 1_000_000)
    finally:
        os.close(descriptor)


def _index_tar(
    collector: MemberCollector, part: ArchiveFile, descriptor: int, folder: str, progress: Progress
) -> list[Inner]:
    above = f"{folder}/" if folder else ""
    inner: list[Inner] = []
    for number, (name, offset, size) in enumerate(walk_tar(part.path, descriptor, part.size)):
        while name.startswith("./"):
            name = name[2:]
        if size == IS_FOLDER:
            if name not in ("", "."):
                collector.folder(above + name)
        elif _is_zip(name):
            inner.append((above + name, offset, size, 0, 0, BARE))
        else:
            collector.file(above + name, offset, size)
        if number % EVERY == 0:
            progress(STAGE, offset // 1_000_000, part.size // 1_000_000)
    return inner


def _index_zip(
    collector: MemberCollector, archive: str, descriptor: int, start: int, size: int, folder: str
) -> list[Inner]:
    """Add a zip's members below `folder`; a zip with that one folder at its root does not get it twice."""
    members = list(walk_zip(archive, descriptor, start, size))
    above, _, own = folder.rpartition("/")
    if own:
        collector.folder(folder)
    if own and {member.name.partition("/")[0] for member in members} <= {own, MAC}:
        folder = above
    inner: list[Inner] = []
    for member in members:
        path = f"{folder}/{member.name}" if folder else member.name
        kind = DEFLATED if member.deflated else STORED
        if member.folder:
            collector.folder(path.removesuffix("/"))
        elif _is_zip(member.name) and start == 0:
            inner.append((path, member.offset, member.size, member.packed, member.crc, kind))
        else:
            collector.file(path, member.offset, member.size, member.packed, member.crc, kind)
    return inner


def _is_zip(name: str) -> bool:
    """Say whether a member is a zip to be indexed, not one that a pipeline opens itself, nor a hidden file of macOS."""
    if name[-4:].lower() != ".zip" or name.lower().endswith(DATA) or name.count("/") > NESTED:
        return False
    return name.rpartition("/")[2][0] != "."
