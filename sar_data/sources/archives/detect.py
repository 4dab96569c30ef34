"""Archives in a folder: which files belong to one, by name, and its kind, by the contents."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import xxhash

from sar_data.errors import SourceError
from sar_data.sources.placeholder import HEAD, detect_placeholder

KINDS = {  # of two archives with one stem, the first kind is faster to read
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
    r"(?P<part>[._-]?part[._-]?[a-z0-9]{1,3}|[._-]?a{1,2}[a-z]|\.\d{1,3})?",
    re.IGNORECASE,
)
LIKELY = re.compile(r"\.(tar|tgz|tzst|tbz2|zip|z\d\d|rar|7z|txz)", re.IGNORECASE).search  # most files are not
DATA = (".zarr.zip", ".safe.zip")  # files that a pipeline opens itself
PLAIN = (".plain.tar", ".plain.zip")  # suffixes of the plain archive made from a compressed or split one
SPANNED = re.compile(r"(?P<stem>.+)\.z(?P<part>\d{2,3})", re.IGNORECASE)  # the parts before the last one, which is .zip
SAVED = re.compile(r"(\?|%3F).*$|(?<!\s)\s*\(\d+\)(?=\.|$)", re.I)  # suffixes that browsers and wget add to a name
TABLE = ".members"  # the table of an archive's members
MAGIC = {
    "zip": (b"PK\3\4", b"PK\5\6", b"PK\7\x08"),
    "tar.gz": (b"\x1f\x8b",),
    "tar.bz2": (b"BZh",),
    "tar.zst": (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + i]) + b"\x2a\x4d\x18" for i in range(16))),
}
SAMPLE = 1 << 20  # bytes: a compressed file ends with a checksum, a zip with its directory
READABLE = "a folder, .tar, .tar.gz, .tar.zst, .tar.bz2 (or the parts of one) or .zip"


@dataclass(frozen=True, slots=True)
class PackedArchive:
    """An archive: one file, or its parts in order; `name` is without the suffix of a part."""

    name: str
    stem: str
    kind: str
    files: tuple[Path, ...]

    @property
    def is_tar(self) -> bool:
        return self.kind.startswith("tar") and self.kind not in FOREIGN

    @property
    def compressed(self) -> bool:
        """Say whether it must be converted to a plain tar or zip before it can be read by offset."""
        return self.kind not in ("tar", "zip") or len(self.files) > 1

    @property
    def plain(self) -> str:
        """The suffix of the plain archive that it is converted to."""
        return PLAIN[self.kind == "zip"]

    @property
    def spanned(self) -> bool:
        """Say whether it is a zip whose parts count offsets from their own start."""
        return self.kind == "zip" and len(self.files) > 1 and SPANNED.fullmatch(self.files[0].name) is not None

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    @property
    def where(self) -> str:
        return str(self.files[0])

    @property
    def hash(self) -> str:
        """A hash that differs between archives of the same name: of the size, start and end of each part."""
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
        """Raise SourceError where the file cannot be read, or is not of the kind that its name says."""
        if self.kind in FOREIGN:
            raise SourceError(
                f"{self.where}: expected {READABLE}, found .{self.kind}, which is not read in place. Unpack it "
                f"(7z x, or unrar x) into a folder {self.stem} beside it, and name the folder as the source."
            )
        if len(self.files) > 1 or self.files[0].name != self.name:
            self._check_parts()
        with open(self.files[0], "rb") as file:
            head = file.read(512)
        if placeholder := detect_placeholder(head, self.bytes):
            raise SourceError(f"{self.where}: {placeholder.reason}")
        if not (head[257:262] == b"ustar" if self.kind == "tar" else head.startswith(MAGIC[self.kind])):
            raise SourceError(
                f"{self.where}: expected a {self.kind} archive, found a file that begins with {head[:24]!r}. Fetch it "
                "again: an error page of a server is often saved under the file's name."
            )

    def _check_parts(self) -> None:
        numbers = [_part_number(path.name) for path in self.files]
        if self.spanned:
            if self.files[-1].name != self.name:
                last = self.files[-1].with_name(self.name)
                raise SourceError(f"{last}: expected the last part, found none. Fetch it.")
            numbers[-1] = numbers[-2] + 1
        first = min(numbers[0], 1) if self.where[-1].isdigit() else 0  # aa, 00 or 01
        for path, number, before in zip(self.files, numbers, [first - 1, *numbers], strict=False):
            if number != before + 1:
                raise SourceError(f"{path}: expected the part before it beside it, found none. Fetch it.")


def is_own_file(name: str) -> bool:
    """Say whether a file was made by us when an archive was read."""
    return name.removesuffix(".partial").endswith(PLAIN) or (name[0] == "." and name.endswith(TABLE))


def stem(name: str) -> str:
    """Return an archive's name without its kind, which is the same for copies of another kind."""
    match = NAME.fullmatch(_original_name(name))
    return match["stem"] if match else name


def _original_name(name: str) -> str:
    """Return a name without the suffix that browsers add, if that leaves an archive's name: `?` may be in a name."""
    bare = SAVED.sub("", name)
    return bare if NAME.fullmatch(bare) else name


def archive_at(path: Path) -> PackedArchive:
    """Return the archive that a file is, or is a part of; raise SourceError for another file."""
    for packed in _list_archives(path.parent):
        if path.absolute() in packed.files:
            return packed
    if kind := _kind(path):
        return PackedArchive(path.name, stem(path.name), kind, (path.absolute(),))
    raise SourceError(f"{path}: expected {READABLE}, found another file")


def archives_in(folder: Path) -> list[PackedArchive]:
    """Return the archives in a folder, one of each stem: the fastest to read."""
    best: dict[str, PackedArchive] = {}
    order = (*KINDS.values(), *FOREIGN)
    for packed in sorted(_list_archives(folder), key=lambda packed: order.index(packed.kind)):
        best.setdefault(packed.stem, packed)
    return sorted(best.values(), key=lambda packed: packed.name)


def _list_archives(folder: Path) -> list[PackedArchive]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _may_be_archive(entry.name) and entry.is_file()]
    parts: dict[tuple[str, str, str], list[str]] = {}
    for name in sorted(names):
        saved = _original_name(name)
        match, spanned = NAME.fullmatch(saved), SPANNED.fullmatch(saved)
        if spanned:
            parts.setdefault((f"{spanned['stem']}.zip", spanned["stem"], "zip"), []).append(name)
        elif match and not match["part"]:
            kind = match["kind"].lower()
            kind = KINDS.get(kind, kind)
            if kind not in FOREIGN:
                kind = _kind(folder / name) or kind  # the contents count, not the name
            archive_id = (f"{match['stem']}.zip", match["stem"], "zip")
            parts.setdefault(archive_id if archive_id in parts else (name, match["stem"], kind), []).append(name)
        elif match:
            kind = match["kind"].lower()
            parts.setdefault((saved[: match.start("part")], match["stem"], KINDS.get(kind, kind)), []).append(name)
        elif kind := _kind(folder / name):
            parts.setdefault((name, saved, kind), []).append(name)
    return [
        PackedArchive(*archive_id, tuple(folder.absolute() / name for name in _sort_parts(archive_id[0], files)))
        for archive_id, files in parts.items()
    ]


def _may_be_archive(name: str) -> bool:
    """Say whether a file may be an archive by its name: any suffix but an archive's or a number means another file."""
    if name.startswith(".") or name.lower().endswith(DATA) or is_own_file(name):
        return False
    _, dot, ending = name.rpartition(".")
    return bool(LIKELY(name)) or not dot or ending.isdecimal()


def _sort_parts(full_name: str, names: list[str]) -> list[str]:
    """Return the parts of an archive in their order; where the complete file exists, that alone."""
    if any(SPANNED.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (name == full_name, _part_number(name)))
    return [full_name] if full_name in names else sorted(names, key=_part_number)


def _kind(path: Path) -> str | None:
    """Return the kind of an archive by its contents, None for another file or an unreadable one."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    if head[257:262] == b"ustar":
        return "tar"
    kind = next((kind for kind, marks in MAGIC.items() if head.startswith(marks)), None)
    if kind == "tar.gz":  # a gzip of anything but a tar belongs to another program
        try:
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, 512)
        except zlib.error:
            return None
        return kind if head[257:262] == b"ustar" else None
    return kind


def _part_number(name: str) -> int:
    """Return the number of a part: aa is 0, ab 1; digits are themselves."""
    match = SPANNED.fullmatch(name) or NAME.fullmatch(_original_name(name))
    text = re.sub(r"^[._-]?(part)?[._-]?", "", ((match["part"] if match else None) or "").lower())
    if text.isdigit():
        return int(text)
    number = 0
    for letter in text:
        number = number * 26 + ord(letter) - ord("a")
    return number
