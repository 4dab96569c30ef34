"""What a killed builder left on disk, and which stage that shows."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import lmdb

from sar_data.builder.open import SCAN_NAME
from sar_data.builder.pack import STARTED
from sar_data.builder.target import BUILDING
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.sealed.opened import SUMS_NAME, Build
from tests.kill.watch import Event

Stamps = dict[str, tuple[int, int, int]]

STAGES = ("scan", "plan", "pack", "seal", "rename")
OWN = r"\.(\d+)\.[0-9a-f]+\.partial$"  # as a process names the files that it has not finished
SHARD = re.compile(r"(?:^|/)(?:build|spool)/(\w+)/(?:image/c/)?(\d+)(?:/0/0/0|\.tar)?(?:" + OWN + "|$)")


def contents(path: Path) -> str:
    """Return a digest of all (split, key, value) of an LMDB build, in LMDB's order."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*/data.mdb")):
        with lmdb.open(str(file.parent), readonly=True, lock=False) as env, env.begin() as transaction:
            digest.update(f"{file.parent.name} {transaction.stat()['entries']}".encode())
            for key, value in transaction.cursor():
                digest.update(key + len(value).to_bytes(8, "little") + value)
    return digest.hexdigest()


def stamps(folder: Path) -> Stamps:
    """Return inode, time and size of every file below a folder: what a rewritten file cannot keep."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a worker may outlive its builder for a moment
            if not path.is_dir():
                s = path.stat()
                found[path.relative_to(folder).as_posix()] = s.st_ino, s.st_mtime_ns, s.st_size
    return found


def check_sums(path: Path) -> None:
    """Check a sealed folder with coreutils, and that every file is listed."""
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", SUMS_NAME], cwd=path, check=True)
    listed = {line.split("  ", 1)[1] for line in (path / SUMS_NAME).read_text().splitlines()}
    assert set(stamps(path)) == listed | {SUMS_NAME, NAME}
    assert Manifest.load(path).sums == hashlib.sha256((path / SUMS_NAME).read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a build is when nothing disturbs it."""

    path: Path
    digest: str
    sums: bytes
    contents: str
    shards: int

    @classmethod
    def of(cls, made: Build) -> Self:
        shards = sum(len(split.shards) for split in made.manifest.splits.values())
        sums = (made.path / SUMS_NAME).read_bytes()
        return cls(made.path, made.manifest.content_digest, sums, contents(made.path), shards)

    def check(self, path: Path) -> None:
        """Check that the sealed build at `path` is this one."""
        check_sums(path)
        manifest = Manifest.load(path)
        assert manifest.content_digest == self.digest
        if manifest.format == "lmdb":  # its page bytes may differ
            assert contents(path) == self.contents
        else:
            assert (path / SUMS_NAME).read_bytes() == self.sums
            assert (path / NAME).read_bytes() == (self.path / NAME).read_bytes()


@dataclass(frozen=True, slots=True)
class Moment:
    """The `n`-th event of a kind on a path."""

    what: int
    path: str
    n: int

    def came(self, events: Iterable[Event]) -> Event | None:
        """Read events until this one; return None where the process ended before."""
        pattern, left = re.compile(self.path), self.n
        for event in events:
            if event.what & self.what and pattern.search(event.path):
                left -= 1
                if not left:
                    return event
        return None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The stage a killed builder was in, its proven shards with their files' stamps, and those only begun."""

    stage: str
    sealed: bool
    proven: set[tuple[str, int]]
    begun: set[tuple[str, int]]
    kept: Stamps

    @classmethod
    def of(cls, home: Path, known: Undisturbed) -> Self:
        target, work = home / known.path.name, home / f".{known.path.name}{BUILDING}"
        names = [path.stem.rpartition("-") for path in (work / "proofs").glob("*.arrow")]
        proven = {(split, int(number)) for split, _, number in names}
        kept: Stamps = {}
        begun = set()
        for name, stamp in stamps(work).items():
            if found := SHARD.search(name):
                shard = found[1], int(found[2])
                begun.add(shard)
                if shard in proven and not found[3] and name.startswith("build/"):
                    kept[name.removeprefix("build/")] = stamp
        stage = _stage(target, work, "seal" if len(proven) == known.shards else "pack")
        return cls(stage, target.exists(), proven, begun - proven, kept)


def _stage(target: Path, work: Path, by_proofs: str) -> str:
    if target.exists():
        return "rename" if work.exists() else "done"
    if (work / "build" / NAME).exists():
        return "rename"
    if not (work / SCAN_NAME).exists():
        return "scan"
    return by_proofs if (work / STARTED).exists() else "plan"


@dataclass(slots=True)
class Ledger:
    """Which stages were hit, from the evidence, and what came of it."""

    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    aimed: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    redone: Counter[str] = field(default_factory=Counter)
    sealed: int = 0
    orphan_s: float = 0.0
    others: list[str] = field(default_factory=list)

    def table(self) -> str:
        columns = sorted({variant for _, variant in self.hits})
        lines = ["stage hit " + "".join(f"{name:>12}" for name in columns) + f"{'kills':>8}{'resumed equal':>15}"]
        for stage in STAGES:
            counts = [self.hits[stage, name] for name in columns]
            total = sum(counts)
            lines.append(f"{stage:10}" + "".join(f"{n:12}" for n in counts) + f"{total:8}{f'{total}/{total}':>15}")
        total = self.hits.total()
        lines += [
            f"{total} kills, all resumed equal; {self.sealed} of them between rename and clean-up",
            f"aimed at {dict(self.aimed)}; too late for {dict(self.missed)}",
            f"shards begun but not proven, most at one kill: {dict(self.redone)}",
            f"workers whose builder alone was killed were gone within {self.orphan_s:.2f} s",
        ]
        return "\n".join(lines + self.others)
