"""What a kill trial needs: an archive, undisturbed builds to compare with, builders to kill, and evidence on disk."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import lmdb
import psutil

from sar_data import catalog
from sar_data.build import build
from sar_data.manifest import NAME, Manifest
from sar_data.sealed import SUMS_NAME, Build
from sar_data.stages import draft, open, pack
from sar_data.stages.prepare import Options
from tests.kill import watch

REPOSITORY = Path(__file__).parents[2]
DATASET = "bigearthnet-s1"
PATCHES = 96
WORKERS = 2
QUIET_S = 60.0  # no file event for so long is a hang
VARIANTS: dict[str, dict[str, Any]] = {
    "zarr": {"format": "zarr", "shard_length": 8},
    "zarr-zstd": {"format": "zarr", "compression": "zstd", "shard_length": 16},
    "webdataset": {"format": "webdataset", "shard_length": 8},
    "lmdb": {"format": "lmdb", "shard_length": 8},
}
SHARD = re.compile(r"/(?:build|spool)/(\w+)/(?:image/c/)?(\d+)(?:/0/0/0|\.tar)?\.(\d+)\.partial$")


def contents(path: Path) -> str:
    """Return a digest of all (split, key, value) of an LMDB build, in LMDB's order."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*/data.mdb")):
        with lmdb.open(str(file.parent), readonly=True, lock=False) as env, env.begin() as transaction:
            digest.update(f"{file.parent.name} {transaction.stat()['entries']}".encode())
            for key, value in transaction.cursor():
                digest.update(key + len(value).to_bytes(8, "little") + value)
    return digest.hexdigest()


def stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, time and size of every file below a folder: what a rewritten file cannot keep."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a worker may outlive its builder for a moment
            if not path.is_dir():
                s = path.stat()
                found[str(path.relative_to(folder))] = s.st_ino, s.st_mtime_ns, s.st_size
    return found


def check_sums(path: Path) -> None:
    """Check a sealed folder with coreutils, and that every file is listed."""
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", SUMS_NAME], cwd=path, check=True)
    listed = {line.split("  ", 1)[1] for line in (path / SUMS_NAME).read_text().splitlines()}
    assert set(stamps(path)) == listed | {SUMS_NAME, NAME}
    assert Manifest.load(path).sums == hashlib.sha256((path / SUMS_NAME).read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a variant's build is when nothing disturbs it."""

    path: Path
    digest: str
    sums: bytes
    contents: str
    shards: int

    @classmethod
    def of(cls, made: Build) -> Undisturbed:
        splits = made.manifest.splits.values()
        shards = sum(len(split.shards) for split in splits)
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


class Builder:
    """The driver as a process group of its own."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.driver", str(workers)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.ending = os.pidfd_open(self.pid)

    def start(self, *, once: bool = True, **request: Any) -> None:
        """Send the first request; where there is but one, the builder ends after it."""
        assert self._process.stdin and self._process.stdout
        line = self._process.stdout.readline()
        assert line == "ready\n", self._process.communicate()
        self.ask(**request)
        if once:
            self._process.stdin.close()
            self._process.stdin = None

    def ask(self, **request: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, self._process.communicate()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self, *, alone: bool) -> None:
        """Kill the builder alone, or with all its workers."""
        (os.kill if alone else os.killpg)(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the builder's end, not for its workers'; return its exit code."""
        return self._process.wait(QUIET_S)

    def left(self) -> list[psutil.Process]:
        """Return what still runs of the builder and its workers."""
        alive = []
        for pid in psutil.pids():
            try:
                process = psutil.Process(pid)
                if os.getpgid(pid) == self.pid and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
            except (psutil.NoSuchProcess, ProcessLookupError):
                continue
        return alive

    def end(self) -> None:
        """Let a builder end that has nothing more to do, and give back its pipes."""
        self._process.communicate()
        os.close(self.ending)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill(alone=False)
        self.end()


@dataclass(frozen=True, slots=True)
class Moment:
    """The `n`-th event of a kind on a path."""

    what: int
    path: str
    n: int

    def came(self, events: Any) -> watch.Event | None:
        """Read events until this one; return None where the process ended before."""
        pattern, left = re.compile(self.path), self.n
        for event in events:
            if event.what & self.what and pattern.search(event.path):
                left -= 1
                if not left:
                    found: watch.Event = event
                    return found
        return None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a killed builder left: the stage it was in, its proven shards, and their files' stamps."""

    stage: str
    sealed: bool
    proven: list[tuple[str, int]]
    begun: list[tuple[str, int]]
    kept: dict[str, tuple[int, int, int]]

    @classmethod
    def of(cls, home: Path, known: Undisturbed) -> Evidence:
        target, work = home / known.path.name, home / f".{known.path.name}{draft.BUILDING}"
        proofs = sorted((work / "proofs").glob("*.arrow"))
        proven = [(path.stem.rpartition("-")[0], int(path.stem.rpartition("-")[2])) for path in proofs]
        found = stamps(work) if work.exists() else {}
        shards = {name: match.groups() for name in found if (match := COMMITTED.search(name))}
        kept = {name.removeprefix("build/"): found[name] for name, (split, number) in shards.items()
                if name.startswith("build/") and (split, int(number)) in proven}
        started = {(m[1], int(m[2])) for name in found if (m := SHARD.search(f"/{name}"))}
        started |= {(split, int(number)) for split, number in shards.values()}
        return cls(cls._stage(target, work, len(proven), known), target.exists(), proven, sorted(started - {*proven}), kept)

    @staticmethod
    def _stage(target: Path, work: Path, proven: int, known: Undisturbed) -> str:
        if target.exists():
            return "rename" if work.exists() else "done"
        if (work / "build" / NAME).exists():
            return "rename"
        if not (work / open.SCAN_NAME).exists():
            return "scan"
        if not (work / pack.STARTED).exists():
            return "plan"
        return "seal" if proven == known.shards else "pack"


COMMITTED = re.compile(r"^(?:build|spool)/(\w+)/(?:image/c/)?(\d+)(?:/0/0/0|\.tar)?$")


@dataclass(slots=True)
class Ledger:
    """Which stages were hit, from the evidence, and what came of it."""

    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    aimed: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    redone: dict[str, int] = field(default_factory=dict)
    orphan_s: float = 0.0

    def table(self) -> str:
        columns = sorted({variant for _, variant in self.hits})
        lines = [f"{'stage hit':10}" + "".join(f"{name:>12}" for name in columns) + f"{'kills':>8}{'resumed equal':>15}"]
        for stage in ("scan", "plan", "pack", "seal", "rename"):
            counts = [self.hits[stage, name] for name in columns]
            row = "".join(f"{n:12}" for n in counts)
            lines.append(f"{stage:10}{row}{sum(counts):8}{f'{sum(counts)}/{sum(counts)}':>15}")
        lines.append(f"aimed {dict(self.aimed)}, finished before the moment came {dict(self.missed)}")
        lines.append(f"shards begun and not proven, most a kill {self.redone}")
        lines.append(f"workers outlived their builder by {self.orphan_s:.2f} s at most")
        return "\n".join(lines)


class Rig:
    """The archive, the undisturbed builds, and a builder that starts while the last trial is being checked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = root / "source"
        catalog.synthesise(DATASET)(self.source, count=PATCHES, seed=1)
        self.pipeline = catalog.pipeline(DATASET)
        self.known = {name: Undisturbed.of(self.build(root / "undisturbed", name)) for name in VARIANTS}
        self.former = self.build(root / "former", "zarr", seed=9).path
        self._next: Builder | None = None
        self._steady: Builder | None = None
        self._trials = 0

    def options(self, variant: str, **changes: Any) -> dict[str, Any]:
        return {"split": "random", **VARIANTS[variant], **changes}

    def build(self, out: Path, variant: str, progress: Any = None, **changes: Any) -> Build:
        options = Options(**self.options(variant, **changes))
        return build(self.pipeline, source=self.source, out=out, options=options, progress=progress)

    def builder(self, workers: int, *, after: int) -> Builder:
        """Return a builder of so many workers, and start the next."""
        ready, self._next = self._next, None
        if ready is not None and ready.workers != workers:
            ready.end()
            ready = None
        ready = ready or Builder(workers)
        self._next = Builder(after)
        return ready

    def folder(self) -> Path:
        """Return a new folder to build in that already holds a former build, of another recipe."""
        self._trials += 1
        out = self.root / f"trial-{self._trials}"
        home = out / self.former.relative_to(self.root / "former").parent
        home.mkdir(parents=True)
        shutil.copytree(self.former, home / self.former.name, copy_function=os.link)
        return out

    def home(self, out: Path) -> Path:
        return out / self.former.relative_to(self.root / "former").parent

    def check_left(self, out: Path, variant: str) -> None:
        """Check that a killed builder left nothing to be seen but whole builds."""
        known, home = self.known[variant], self.home(out)
        names = {path.name for path in home.iterdir()}
        assert names <= {self.former.name, known.path.name, f".{known.path.name}{draft.BUILDING}"}
        assert stamps(home / self.former.name) == stamps(self.former)
        if known.path.name in names:
            known.check(home / known.path.name)

    def resume(self, out: Path, variant: str, evidence: Evidence, *, apart: bool, alone: bool) -> None:
        """Run the build again, here or in worker processes, and check that it went on and is equal.

        Where the builder alone was killed, its workers may have proven what they held.
        """
        known = self.known[variant]
        packed: list[int] = []
        if apart:
            if self._steady is None:
                self._steady = Builder(WORKERS)
                self._steady.start(once=False, source=self.source, out=out, options=self.options(variant))
            else:
                self._steady.ask(source=self.source, out=out, options=self.options(variant))
            answer = self._steady.answer()
            assert "error" not in answer, answer
            path, count = Path(answer["path"]), int(answer["packed"])
        else:
            made = self.build(out, variant, lambda stage, done, total: packed.append(done) if stage == "pack" else None)
            path, count = made.path, len(packed)
        known.check(path)
        assert {p.name for p in path.parent.iterdir()} == {path.name, self.former.name}
        assert stamps(path.parent / self.former.name) == stamps(self.former)
        todo = 0 if evidence.sealed else known.shards - len(evidence.proven)
        assert count == todo or (alone and todo - WORKERS <= count < todo)
        after = stamps(path)
        assert {name: after[name] for name in evidence.kept} == evidence.kept

    def close(self) -> None:
        for builder in (self._next, self._steady):
            if builder is not None:
                builder.end()


def gone(builder: Builder, since: float, most: float = 5.0) -> float:
    """Wait until nothing runs of a killed builder; return how long after the kill that was."""
    while left := builder.left():
        assert time.monotonic() - since < most, left
        time.sleep(0.02)
    return time.monotonic() - since


remove = partial(shutil.rmtree, ignore_errors=False)
