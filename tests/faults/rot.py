"""One fault at a time in a sealed build: does verify in full name it, and does a loader give other data?"""

from __future__ import annotations

import hashlib
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sar_data.errors import SarDataError
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify
from sar_data.split.policy import SPLITS
from sar_data.stream.dataset import Stream

Kind = Literal["flip", "deletion", "swap"]


def read(build: Path) -> str:
    """Return a digest of all that a loader gives of a build; raise SarDataError where it refuses the build."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for batch in Stream(build, split=split, batch_size=8, shuffle=False, normalize=None, verify="first"):
            for name in sorted(batch):
                value = batch[name]
                digest.update(value.tobytes() if hasattr(value, "tobytes") else repr(value).encode())
    return digest.hexdigest()


@dataclass
class Rot:
    """Faults of a build, drawn by their number: the same number is the same fault."""

    build: Path
    sound: str = ""
    files: list[Path] = field(default_factory=list)
    shards: list[Path] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sound = read(self.build)
        self.files = sorted(path for path in self.build.rglob("*") if path.is_file() and path.stat().st_size)
        splits = Build.open(self.build).manifest.splits.values()
        self.shards = [self.build / shard.file for split in splits for shard in split.shards]

    def trial(self, kind: Kind, number: int) -> None:
        """Make a fault, look who names it, and take it back."""
        chance = random.Random(f"{kind} {number}")
        with getattr(self, f"_{kind}")(chance) as what:
            named = bool(verify(self.build, full=True))
            try:
                loader = "read the sound data" if read(self.build) == self.sound else "read other data"
            except SarDataError:
                loader = "refused by the loader"
        self.counts[kind, "named by verify" if named else "not named by verify"] += 1
        self.counts[kind, loader] += 1
        if not named or loader == "read other data":
            self.missed.append(f"{kind} {number}: {what}: {'named' if named else 'not named'}, {loader}")

    @contextmanager
    def _flip(self, chance: random.Random) -> Iterator[str]:
        """Flip one bit, half of the times of the shards, else of the whole build."""
        files = self.shards if chance.random() < 0.5 else self.files
        path = chance.choices(files, [path.stat().st_size for path in files])[0]
        data = path.read_bytes()
        place = chance.randrange(len(data))
        bit = 1 << chance.randrange(8)
        with _instead(path, data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]):
            yield f"{path.relative_to(self.build)}, byte {place}"

    @contextmanager
    def _deletion(self, chance: random.Random) -> Iterator[str]:
        path = chance.choice(self.files)
        aside = self.build.with_name("aside")
        os.rename(path, aside)
        try:
            yield str(path.relative_to(self.build))
        finally:
            os.rename(aside, path)

    @contextmanager
    def _swap(self, chance: random.Random) -> Iterator[str]:
        """Put two files that differ in each other's place: of the same kind, where there are such."""
        path = chance.choice(self.files)
        others = [other for other in self.files if other.read_bytes() != path.read_bytes()]
        alike = [other for other in others if other.stat().st_size == path.stat().st_size]
        other = chance.choice(alike or [other for other in others if other.suffix == path.suffix] or others)
        first, second = path.read_bytes(), other.read_bytes()
        with _instead(path, second), _instead(other, first):
            yield f"{path.relative_to(self.build)} and {other.relative_to(self.build)}"

    def table(self, name: str) -> str:
        """Return the counts as lines of a table."""
        kinds = dict.fromkeys(kind for kind, _ in self.counts)
        rows = []
        for kind in kinds:
            named, missed = (self.counts[kind, f"{word}named by verify"] for word in ("", "not "))
            refused, same = self.counts[kind, "refused by the loader"], self.counts[kind, "read the sound data"]
            rows.append(f"| {name} | {kind} | {named + missed} | {named} | {refused} | {same} |")
        return "\n".join(rows)


@contextmanager
def _instead(path: Path, data: bytes) -> Iterator[None]:
    """Put other bytes in the place of a file, under another inode, and the first file back."""
    aside = path.with_name(f"{path.name}.aside")
    os.rename(path, aside)
    try:
        path.write_bytes(data)
        yield
    finally:
        path.unlink()
        os.rename(aside, path)
