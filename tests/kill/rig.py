"""What all kill trials share: an archive, undisturbed builds to compare with, and builders started ahead of time."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from sar_data import catalog
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.builder.target import BUILDING
from sar_data.reports.build import ENDING as REPORT
from sar_data.sealed.opened import Build
from tests.kill.builders import Builder
from tests.kill.evidence import Evidence, Undisturbed, stamps

DATASET = "bigearthnet-s1"
PATCHES = 96
WORKERS = 2
VARIANTS: dict[str, dict[str, Any]] = {
    "zarr": {"format": "zarr", "shard_length": 8},
    "zarr-zstd": {"format": "zarr", "compression": "zstd", "shard_length": 16},
    "webdataset": {"format": "webdataset", "shard_length": 8},
    "lmdb": {"format": "lmdb", "shard_length": 8},
}


class Rig:
    """Makes the folders that trials build in, and judges what becomes of them."""

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
        options: dict[str, Any] = {**self.options(variant, **changes)}
        return build(BuildRequest(dataset=self.pipeline, source=self.source, out=out, **options), progress=progress)

    def builder(self, workers: int, *, after: int) -> Builder:
        """Return a builder of so many workers, and start the next one, of `after` workers."""
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
        shutil.copytree(self.former, self.home(out) / self.former.name, copy_function=os.link)
        return out

    def home(self, out: Path) -> Path:
        """Return the folder below `out` in which builds lie side by side."""
        return out / self.former.relative_to(self.root / "former").parent

    def check_left(self, out: Path, variant: str) -> None:
        """Check that a killed builder left nothing to be seen but whole builds and the report of one."""
        known, home = self.known[variant], self.home(out)
        names = {path.name for path in home.iterdir()}
        report = {f"{known.path.name}{REPORT}"} if known.path.name in names else set()
        left = names - {self.former.name, known.path.name, f".{known.path.name}{BUILDING}"} - report
        assert not left
        assert stamps(home / self.former.name) == stamps(self.former)
        if known.path.name in names:
            known.check(home / known.path.name)

    def resume(self, out: Path, variant: str, evidence: Evidence, *, apart: bool = False, alone: bool = False) -> None:
        """Run the build again, here or `apart` in worker processes, and check that it went on and is equal.

        Where the builder `alone` was killed, its workers may have proven what they held.
        """
        known = self.known[variant]
        if apart:
            path, packed = self._apart(source=self.source, out=out, options=self.options(variant))
        else:
            steps: list[str] = []
            path = self.build(out, variant, lambda stage, done, total: steps.append(stage)).path
            packed = steps.count("pack")
        known.check(path)
        assert {p.name for p in path.parent.iterdir()} == {path.name, self.former.name}
        assert stamps(path.parent / self.former.name) == stamps(self.former)
        todo = 0 if evidence.sealed else known.shards - len(evidence.proven)
        assert packed == todo or (alone and todo - WORKERS <= packed < todo)
        after = stamps(path)
        assert {name: after[name] for name in evidence.kept} == evidence.kept or variant == "lmdb"

    def _apart(self, **request: Any) -> tuple[Path, int]:
        if self._steady is None:
            self._steady = Builder(WORKERS)
            self._steady.start(once=False, **request)
        else:
            self._steady.ask(**request)
        answer = self._steady.answer()
        assert "error" not in answer, answer
        return Path(answer["path"]), int(answer["packed"])

    def close(self) -> None:
        for builder in (self._next, self._steady):
            if builder is not None:
                builder.end()
