"""Files packed in every way a source may come: each function returns what a user would name as --source."""

from __future__ import annotations

import bz2
import gzip
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from struct import pack_into

import zstandard

Files = Mapping[str, bytes | None]
"""Contents by path; a folder has none."""


def files_of(folder: Path) -> dict[str, bytes | None]:
    """Return everything below a folder."""
    found = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes() for path in found}


def folder(files: Files, to: Path) -> Path:
    to.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = to / name
        if data is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return to


def tar_bytes(files: Files, format: int = tarfile.GNU_FORMAT, above: str = "") -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=format) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(above + name)
            if data is None:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            else:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return raw.getvalue()


def zip_bytes(files: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name if data is not None else f"{name}/", data or b"")
    return raw.getvalue()


def spanned_bytes(files: Files, parts: int) -> bytes:
    """Return the bytes of a zip in so many parts of one size, as zip -s writes it: places count from their part on."""
    data = bytearray(zip_bytes(files))
    step = -(-len(data) // parts)
    end = data.rindex(b"PK\5\6")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at = directory = archive.start_dir
        for info in archive.infolist():
            pack_into("<H", data, at + 34, info.header_offset // step)
            pack_into("<I", data, at + 42, info.header_offset % step)
            at += 46 + len(info.filename) + len(info.extra) + len(info.comment)
    pack_into("<HH", data, end + 4, parts - 1, directory // step)
    pack_into("<I", data, end + 16, directory % step)
    return bytes(data)


def _written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _split(path: Path, data: bytes, endings: tuple[str, ...]) -> Path:
    """Write parts of about one length and return the first."""
    length = -(-len(data) // len(endings))
    for number, ending in enumerate(endings):
        _written(path.with_name(path.name + ending), data[number * length : (number + 1) * length])
    return path.with_name(path.name + endings[0])


def by_program(files: Files, to: Path) -> Path:
    """Pack with the system's tar, whose names begin with ./ here."""
    folder(files, to / "files")
    subprocess.run(["tar", "-C", to / "files", "-cf", to / "data.tar", "."], check=True)
    return to / "data.tar"


def beside(files: Files, to: Path) -> Path:
    """Put every second file of the root, and all below every second folder, into a tar; leave the others loose."""
    tops = sorted({name.partition("/")[0] for name in files})
    packed = {name: data for name, data in files.items() if name.partition("/")[0] in tops[::2]}
    folder({name: data for name, data in files.items() if name not in packed}, to)
    _written(to / "data.tar", tar_bytes(packed or {"data.txt": b""}))
    return to


def zips(files: Files, *, stored: bool) -> dict[str, bytes | None]:
    """Return the files with every folder of the root packed into a zip of its name."""
    tops = sorted({name.partition("/")[0] for name, data in files.items() if data is None or "/" in name})
    packed: dict[str, bytes | None] = {name: data for name, data in files.items() if name.partition("/")[0] not in tops}
    for number, top in enumerate(tops):
        cut = len(top) + 1
        inner = {name[cut:]: data for name, data in files.items() if name.startswith(f"{top}/")}
        if number % 2 or {name.partition("/")[0] for name in inner} == {top}:  # in one folder of the zip's own name
            inner = {f"{top}/{name}": data for name, data in inner.items()}
        packed[f"{top}.zip"] = zip_bytes(inner, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    return packed


KINDS: dict[str, Callable[[Files, Path], Path]] = {
    "folder": folder,
    "tar, GNU": lambda files, to: _written(to / "data.tar", tar_bytes(files)),
    "tar, pax": lambda files, to: _written(to / "data.tar", tar_bytes(files, tarfile.PAX_FORMAT)),
    "tar, below ./": lambda files, to: _written(to / "data.tar", tar_bytes(files, above="./")),
    "tar, by the program": by_program,
    "tar.gz": lambda files, to: _written(to / "data.tar.gz", gzip.compress(tar_bytes(files), 1)),
    "tgz of two members": lambda files, to: _written(
        to / "data.tgz", gzip.compress(tar_bytes(files)[:700], 1) + gzip.compress(tar_bytes(files)[700:], 1)
    ),
    "tar.zst": lambda files, to: _written(to / "data.tar.zst", zstandard.compress(tar_bytes(files))),
    "tar.bz2": lambda files, to: _written(to / "data.tar.bz2", bz2.compress(tar_bytes(files))),
    "tar.gzaa, tar.gzab": lambda files, to: _split(
        to / "data.tar.gz", gzip.compress(tar_bytes(files), 1), ("aa", "ab")
    ),
    "tar.gz.partaa …": lambda files, to: _split(
        to / "data.tar.gz", gzip.compress(tar_bytes(files), 1), (".partaa", ".partab", ".partac")
    ),
    "tar.zst.part1 …": lambda files, to: _split(
        to / "data.tar.zst", zstandard.compress(tar_bytes(files)), tuple(f".part{i}" for i in range(1, 12))
    ),
    "zip, stored": lambda files, to: _written(to / "data.zip", zip_bytes(files)),
    "zip, deflated": lambda files, to: _written(to / "data.zip", zip_bytes(files, zipfile.ZIP_DEFLATED)),
    "folder with a tar in it": beside,
    "folder of zips": lambda files, to: folder(zips(files, stored=False), to),
    "zip of zips": lambda files, to: _written(to / "all.zip", zip_bytes(zips(files, stored=True))),
    "tar of zips": lambda files, to: _written(to / "all.tar", tar_bytes(zips(files, stored=False))),
}
