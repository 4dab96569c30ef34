"""Archives by their file names: of what kind they are, and which files are parts of one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import xxhash

from sar_data.errors import SourceError

KINDS = {  # of two with one stem, the first is the quicker
    "tar": "tar",
    "zip": "zip",
    "tar.zst": "tar.zst",
    "tzst": "tar.zst",
    "tar.gz": "tar.gz",
    "tgz": "tar.gz",
    "tar.bz2": "tar.bz2",
    "tbz2": "tar.bz2",
}
FOREIGN = ("rar", "7z", "tar.xz", "txz", "tar.lz", "tar.lzma", "tar.z", "tar.br")
NAME = re.compile(
    rf"(?P<stem>.+?)\.(?P<kind>{'|'.join(re.escape(kind) for kind in (*FOREIGN, *sorted(KINDS, reverse=True)))})"
    r"(?P<part>\.?part[a-z0-9]{1,3}|\.?a[a-z]|\.\d{2,3})?",
    re.IGNORECASE,
)
LIKELY = re.compile(r"\.(tar|tgz|tzst|tbz2|zip|rar|7z|txz)", re.IGNORECASE).search  # most files of a folder are not
DATA = (".zarr.zip", ".safe.zip")  # files that a pipeline opens itself
PLAIN = ".plain.tar"  # what a compressed archive is turned into
TABLE = ".members"  # the table of an archive's members
MAGIC = {
    "zip": (b"PK\3\4", b"PK\5\6"),
    "tar.gz": (b"\x1f\x8b",),
    "tar.bz2": (b"BZh",),
    "tar.zst": (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + i]) + b"\x2a\x4d\x18" for i in range(16))),
}
SAMPLE = 1 << 20  # bytes: a compressed file ends with a checksum, a zip with its directory
READABLE = "a folder, .tar, .tar.gz, .tar.zst, .tar.bz2 (or the parts of one) or .zip"


@dataclass(frozen=True, slots=True)
class Packed:
    """An archive: one file, or its parts in order; `name` is without a part's ending."""

    name: str
    stem: str
    kind: str
    files: tuple[Path, ...]

    @property
    def is_tar(self) -> bool:
        return self.kind.startswith("tar") and self.kind not in FOREIGN

    @property
    def compressed(self) -> bool:
        """Say whether it must be turned into a plain tar before it can be read by offset."""
        return self.kind not in ("tar", "zip") or len(self.files) > 1

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    @property
    def where(self) -> str:
        return str(self.files[0])

    @property
    def hash(self) -> str:
        """Return what tells this archive from another of its name: of its parts' sizes, beginnings and ends."""
        digest = xxhash.xxh3_64()
        for path in self.files:
            with open(path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                for start in (0, max(size - SAMPLE, 0)):
                    file.seek(start)
                    digest.update(file.read(SAMPLE))
            digest.update(f"{path.name} {size}\n".encode())
        return digest.hexdigest()

    def check(self) -> None:
        """Raise SourceError where the file cannot be read, or does not begin like what its name says."""
        if self.kind in FOREIGN:
            raise SourceError(
                f"{self.where}: expected {READABLE}, found .{self.kind}, which is not read in place. Unpack it "
                f"(7z x, or unrar x) into a folder {self.stem} beside it, and name the folder as the source."
            )
        if self.files[0].name != self.name:
            self._check_parts()
        with open(self.files[0], "rb") as file:
            head = file.read(512)
        if not (head[257:262] == b"ustar" if self.kind == "tar" else head.startswith(MAGIC[self.kind])):
            raise SourceError(
                f"{self.where}: expected a {self.kind} archive, found a file that begins with {head[:24]!r}. Fetch it "
                "again: what a server says instead of a file is often saved under the file's name."
            )

    def _check_parts(self) -> None:
        numbers = [_part(path.name) for path in self.files]
        first = min(numbers[0], 1) if self.where[-1].isdigit() else 0  # aa, 00 or 01
        for path, number, before in zip(self.files, numbers, [first - 1, *numbers], strict=False):
            if number != before + 1:
                raise SourceError(f"{path}: expected the part before it beside it, found none. Fetch it.")
        if self.kind == "zip":
            raise SourceError(f"{self.where}: expected a zip in one file, found parts: join them by cat > {self.name}")


def is_ours(name: str) -> bool:
    """Say whether a file is one that reading an archive left beside it."""
    return name.endswith((PLAIN, f"{PLAIN}.partial")) or (name[0] == "." and name.endswith(TABLE))


def stem(name: str) -> str:
    """Return an archive's name without what tells its kind: what it has in common with itself packed otherwise."""
    match = NAME.fullmatch(name)
    return match["stem"] if match else name


def at(path: Path) -> Packed:
    """Return the archive that a file is, or is a part of; raise SourceError where it is none."""
    for packed in _all(path.parent):
        if path.absolute() in packed.files:
            return packed
    raise SourceError(f"{path}: expected {READABLE}, found another file")


def among(folder: Path) -> list[Packed]:
    """Return the archives in a folder, one of each stem: the quickest to read."""
    best: dict[str, Packed] = {}
    order = (*KINDS.values(), *FOREIGN)
    for packed in sorted(_all(folder), key=lambda packed: order.index(packed.kind)):
        best.setdefault(packed.stem, packed)
    return sorted(best.values(), key=lambda packed: packed.name)


def _all(folder: Path) -> list[Packed]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if LIKELY(entry.name) and entry.is_file()]
    parts: dict[tuple[str, str, str], list[str]] = {}
    for name in names:
        match = NAME.fullmatch(name)
        if match and not name.startswith(".") and not name.lower().endswith(DATA) and not is_ours(name):
            kind = match["kind"].lower()
            whole = name[: match.start("part")] if match["part"] else name
            parts.setdefault((whole, match["stem"], KINDS.get(kind, kind)), []).append(name)
    return [
        Packed(
            *known,
            tuple(folder.absolute() / name for name in ([known[0]] if known[0] in found else sorted(found, key=_part))),
        )
        for known, found in parts.items()
    ]


def _part(name: str) -> int:
    """Return the place of a part: aa is 0, ab 1; digits are themselves."""
    match = NAME.fullmatch(name)
    text = (match["part"] if match else "").lower().removeprefix(".").removeprefix("part")
    if text.isdigit():
        return int(text)
    number = 0
    for letter in text:
        number = number * 26 + ord(letter) - ord("a")
    return number
