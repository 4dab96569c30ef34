"""Open a source: a folder, an archive, or a folder with archives; it is always the same tree."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from sar_data.errors import SarDataError, SourceError
from sar_data.naming import few
from sar_data.progress import Progress, Say
from sar_data.sources.archives import detect as packing
from sar_data.sources.archives.decompress import read_blocks
from sar_data.sources.archives.detect import FOREIGN, PackedArchive
from sar_data.sources.archives.index import Mount, index_archives
from sar_data.sources.archives.tar import IS_FOLDER, walk
from sar_data.sources.archives.tree import FolderWithArchives
from sar_data.sources.filter import Filtered
from sar_data.sources.remote import RemoteFolder
from sar_data.sources.tree import Folder, is_litter
from sar_data.spec import Tree
from sar_data.system.store import Place, is_url

MAX_FOLDERS = 64  # a folder with more subfolders contains samples, not archives
ENDLESS = 1 << 62
SHARD = re.compile(r"(?P<name>.*[A-Za-z])[-_.]?\d{4,6}")  # the stem of a numbered tar, as WebDataset names them


def open_tree(
    source: Place,
    *,
    work: Path | None = None,
    named: Collection[str] = (),
    progress: Progress | None = None,
    tell: Say | None = None,
) -> Tree:
    """Return the read-only tree of a source: that of an archive is the tree of the folder it would unpack to.

    The URL of a folder in an object store is read where it lies.

    In a folder, a tar counts as unpacked beside itself, and a zip as unpacked into a folder of its name; a numbered
    tar of loose files, such as train-000000.tar, as unpacked into a folder of the name without the number. Where some
    archives have a name of `named`, the others are ignored; where none has, the compressed ones are, but for numbered
    tars of loose files. `work` stores tables of members and converted archives; by default they are stored beside the
    archives. Raises SourceError, also where several compressed archives may each be the dataset, before one is
    unpacked; TargetError where `work` is unusable.
    """
    progress, tell = progress or _ignore, tell or _ignore
    if is_url(source):
        return Filtered(RemoteFolder.at(source))
    source = Path(source)
    with _explain_errors(source):
        if source.is_dir():
            folder, mounts = Folder.at(source), _find_mounts(source, named, tell)
            if not mounts:
                return Filtered(folder)
            hidden = frozenset(p.relative_to(folder.root).as_posix() for mount in mounts for p in mount.packed.files)
            archive = index_archives(mounts, Path(folder.root).name, work or source, progress, tell)
            return Filtered(FolderWithArchives(archive, folder, hidden))
        if not source.exists():
            raise SourceError(f"source {source}: expected a folder or an archive, found nothing")
        packed = packing.archive_at(source)
        return Filtered(index_archives([Mount("", packed)], packed.name, work or source.parent, progress, tell))


@contextmanager
def _explain_errors(source: Path) -> Iterator[None]:
    """Turn an OSError, such as that of a folder that only others may read, into a SourceError that names it."""
    try:
        yield
    except SarDataError:
        raise
    except OSError as error:
        raise SourceError(
            f"source {source}: cannot read {error.filename or source}: {error.strerror or error}"
        ) from error


def _ignore(*_: object) -> None:
    """Do nothing."""


def _find_mounts(source: Path, named: Collection[str], tell: Say) -> list[Mount]:
    """Return the archives in a folder and directly below it, except for those that are also unpacked there."""
    with os.scandir(source) as entries:
        below = sorted(
            islice((entry.name for entry in entries if entry.is_dir() and not is_litter(entry.name)), MAX_FOLDERS + 1)
        )
    folders = ["", *below] if len(below) <= MAX_FOLDERS else [""]
    archives = [(folder, packed) for folder in folders for packed in packing.archives_in(source / folder)]
    stems = {packing.stem(name) for name in named if packing.NAME.fullmatch(name)}
    selected = [(folder, packed) for folder, packed in archives if packed.stem in stems]
    # If the names of the dataset's archives are known, tens of gigabytes of another one are not unpacked.
    selected = selected or [item for item in archives if not (stems and item[1].compressed) or _is_shard(item[1])]
    for _, packed in (other for other in archives if other not in selected):
        called = f"the dataset's are called {', '.join(sorted(stems))}"
        tell(f"{packed.where} is left alone: {called}. Name it as the source where it is one of another name")
    mounts, whole = list[Mount](), list[PackedArchive]()
    for folder, packed in selected:
        own = f"{folder}/{packed.stem}".removeprefix("/")
        first = _first_member(packed) if packed.is_tar else packed.stem
        places = [folder, *folders] if "/" in first else [folder]  # a README of that name may be of anything
        beside = [path for place in places if (path := source / place / first).exists()]
        if beside and beside[0].absolute() not in packed.files:
            tell(f"{packed.where} is left alone: {beside[0].relative_to(source)} lies unpacked in {source}")
        else:
            shard = _shard_of(packed, first) if packed.is_tar else ""
            mounts.append(Mount(f"{folder}/{shard}".strip("/") if packed.is_tar else own, packed))
            whole += [] if shard else [packed]
    _check_single(source, whole, stems)
    if all(mount.packed.kind in FOREIGN for mount in mounts):
        for packed in (mount.packed for mount in mounts):
            tell(f"{packed.where} is left alone: .{packed.kind} is not read in place. Unpack it if it is needed")
        return []
    return mounts


def _shard_of(packed: PackedArchive, first: str) -> str:
    """Return the name of the set that a tar is a numbered shard of, "" for another tar; `first` is its first member."""
    match = SHARD.fullmatch(packed.stem)
    return match["name"] if match and "/" not in first else ""


def _is_shard(packed: PackedArchive) -> bool:
    """Say whether an archive is a numbered tar of loose files; of other names it is not opened."""
    return packed.is_tar and bool(SHARD.fullmatch(packed.stem)) and bool(_shard_of(packed, _first_member(packed)))


def _check_single(source: Path, archives: Sequence[PackedArchive], stems: Collection[str]) -> None:
    """Raise SourceError where compressed archives share one name of the dataset, or several have none of them.

    They may be copies, or different sets: unpacking all of them to find out may need a disk and a day.
    """
    alike: dict[str, list[PackedArchive]] = {}
    for packed in archives:
        if packed.compressed and packed.kind not in FOREIGN:
            alike.setdefault(packed.stem if packed.stem in stems else "", []).append(packed)
    for several in (group for group in alike.values() if len(group) > 1):
        shown = few([f"{Path(p.where).relative_to(source.absolute())} ({p.bytes / 1e6:,.1f} MB)" for p in several])
        raise SourceError(
            f"{source}: expected one archive to unpack, found {len(several)} that may each be the dataset: {shown}. "
            "None was unpacked. Name one of them as the source, or unpack those that belong together into one folder"
        )


def _first_member(packed: PackedArchive) -> str:
    """Return the name of a tar's first file; a compressed tar is read no further."""
    packed.check()
    with tempfile.TemporaryFile() as file:
        if packed.compressed:
            with closing(read_blocks(packed)) as blocks:
                file.write(next(blocks, (b"", 0))[0])
            file.flush()
        descriptor = os.open(packed.files[0], os.O_RDONLY) if not packed.compressed else os.dup(file.fileno())
        try:
            members = walk(packed.where, descriptor, ENDLESS)
            return next((name.removeprefix("./") for name, _, size in members if size != IS_FOLDER), "")
        finally:
            os.close(descriptor)
