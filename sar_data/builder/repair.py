"""Repair: rebuild the broken files of a sealed build, beside it, and put the whole build in its place in one step.

What is broken follows from the hashes that the build records. Shards are packed again as the index says, from raw files
or from another build; samples.parquet is counted again from the build's own pixels; the index, which has hashes of all
sources, needs all of them again. A sound file is linked, not copied. What is not proven by the recorded hashes, or by
the content digest and a full verification, is not put in place.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sar_data import catalog
from sar_data.builder.draft import Draft
from sar_data.builder.open import job_of, write_plan
from sar_data.builder.origin import Origin
from sar_data.builder.pack import pack, start
from sar_data.builder.rebuild import RebuildRequest, needs_parent, prepare_parent, sources_of
from sar_data.builder.recorded import Slots, recorded_plan
from sar_data.builder.seal import file_sums, seal
from sar_data.builder.target import FolderTarget
from sar_data.builder.whole import build_whole
from sar_data.errors import BuildError, UsageError
from sar_data.formats.container import Shard
from sar_data.naming import few
from sar_data.progress import Progress, Say
from sar_data.runners import Runner
from sar_data.sealed.contents import content_digest
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import NAME, Manifest, canonical, read_document
from sar_data.sealed.opened import SUMS_NAME, Build, layout_of
from sar_data.sealed.recount import count_shards, shards
from sar_data.sealed.samples import SAMPLES_NAME, samples_table
from sar_data.sealed.sums import parse_build_sums, sum_lines
from sar_data.sealed.verify import LISTED, Problem, verify
from sar_data.spec import Pipeline
from sar_data.split.policy import SPLITS
from sar_data.system import durable
from sar_data.system.regular import read_regular

Sums = Mapping[str, str]
"""Name of a file below the build → its sha256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairRequest:
    """The damaged build at `path`, and the `source` of what it lacks.

    `source` has the raw files, a folder or their archive, or is another sealed build: of the same content, or the
    parent. Without it, only what the build's own files prove is repaired. `dataset` and `work` are as in
    RebuildRequest. Raises UsageError for a dataset that does not exist.
    """

    path: Path
    source: Path | None = None
    dataset: str | Pipeline | None = None
    work: Path | None = None

    def __post_init__(self) -> None:
        if isinstance(self.dataset, str):
            catalog.pipeline(self.dataset)

    def rebuild(self, out: Path) -> RebuildRequest:
        """Return the request that makes the whole build again below `out`; raise UsageError without a source."""
        if self.source is None:
            raise UsageError(f"{self.path}: `repair` needs `source=…`: the raw files, or a build of the same content")
        return RebuildRequest(path=self.path, source=self.source, out=out, dataset=self.dataset, work=self.work)


@dataclass(frozen=True, slots=True)
class Repair:
    """What was wrong, which files were rebuilt, and what is left: files that no build has, which stay."""

    problems: list[Problem]
    files: list[str]
    left: list[Problem]


def repair(request: RepairRequest, runner: Runner, progress: Progress | None = None, say: Say | None = None) -> Repair:
    """Repair a build and return what was done; a build without a problem is left untouched.

    Killed at any time, it leaves the build as it was, or repaired. Raises BuildError, SourceError or UsageError where
    it cannot be repaired, and leaves it as it was.
    """
    problems = verify(request.path, full=True, runner=runner, progress=progress)
    if not any(problem.expected != LISTED for problem in problems):
        return Repair(problems, [], problems)
    target = FolderTarget(request.path.resolve())
    target.hold(f"repair {secrets.token_hex(8)}")  # nothing of an earlier attempt is used
    try:
        with durable.explain_errors(target.place):
            files = _Copy(target, request, runner, progress, say).rebuild(problems)
            left = verify(target.work / "build", full=True, runner=runner, progress=progress)
            if wrong := [problem for problem in left if problem.expected != LISTED]:
                raise BuildError(
                    f"{request.path}: cannot be repaired from this source, nothing was changed: {wrong[0]}"
                )
            durable.sync_tree(target.work / "build")
            if not durable.exchange(target.work / "build", target.place):
                target.set_aside()
                target.publish(target.work / "build")
            durable.sync_path(target.place.parent)
    finally:
        target.discard()
        target.release()
    return Repair(problems, files, left)


class _Copy:
    """The copy of a damaged build, beside it: links to sound files, and those that are rebuilt."""

    def __init__(
        self, target: FolderTarget, request: RepairRequest, runner: Runner, progress: Progress | None, say: Say | None
    ) -> None:
        self.path, self.copy, self.scratch = target.place, target.work / "build", target.work / "documents"
        self.target, self.request = target, request
        self.runner, self.progress, self.say = runner, progress, say
        self.actual = file_sums(self.path, runner, progress)

    def rebuild(self, problems: list[Problem]) -> list[str]:
        """Fill the copy with sound files, linked or rebuilt; return the names of the latter."""
        manifest = self._manifest()
        sums = None if manifest is None else self._sums(manifest)
        index = None if manifest is None else self._index(manifest, sums)
        if manifest is None or index is None:
            return self._from_whole(manifest)
        slots = Slots.of(manifest, index)
        layout, container = layout_of(manifest), manifest.container
        pixels = {name for s in slots.shards for name in (container.file(s, layout), container.mask_file(s, layout))}
        tables = {INDEX_NAME, *([SAMPLES_NAME] if manifest.statistics is not None else [])}
        documents: Sums = {}
        if sums is None:
            documents = self._documents(manifest, slots)
            names = pixels | tables | documents.keys()
            broken = self._suspects(manifest, problems, pixels | tables, documents)
        else:
            names, broken = {*sums}, {name for name in sums if self.actual.get(name) != sums[name]}
            if broken - pixels - tables:
                documents = self._documents(manifest, slots)
        if strange := sorted(broken - pixels - tables - documents.keys()):
            raise BuildError(f"{self.path}: expected files of a build, found {few(strange)} in {SUMS_NAME}")
        self._pack(manifest, index, broken & pixels)
        self._link(broken)
        for name in broken & documents.keys():
            self._move(self.scratch, name)
        if SAMPLES_NAME in broken:
            self._samples(manifest, index)
        return sorted(broken | self._seal(manifest, names))

    def _from_whole(self, manifest: Manifest | None) -> list[str]:
        """Make the whole build again, and take from it what is broken."""
        request = self.request.rebuild(self.target.work / "again")
        again = build_whole(request, manifest, self.runner, self.progress, self.say)
        sums = parse_build_sums(read_regular(again.path / SUMS_NAME), SUMS_NAME)
        broken = {name for name, digest in sums.items() if self.actual.get(name) != digest}
        if manifest is None and INDEX_NAME in broken and self._sums(again.manifest) is None:
            raise BuildError(f"{self.path}: neither the index nor {SUMS_NAME} is that of a build of this source")
        self.copy.mkdir()
        self._link(broken)
        for name in broken:
            self._move(again.path, name)
        if manifest is None:
            durable.write(self.copy / NAME, again.manifest.dump())
            broken.add(NAME)
        return sorted(broken | self._seal(manifest or again.manifest, {*sums}))

    def _move(self, folder: Path, name: str) -> None:
        (self.copy / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder / name, self.copy / name)

    def _seal(self, manifest: Manifest, names: set[str]) -> set[str]:
        """Write the sums of the copy, and a manifest where they are others than before; return what was written."""
        sums = file_sums(self.copy, self.runner, self.progress)
        data = sum_lines({name: digest for name, digest in sums.items() if name in names})
        written = set()
        if not (self.copy / SUMS_NAME).is_file() or (self.copy / SUMS_NAME).read_bytes() != data:
            durable.write(self.copy / SUMS_NAME, data)
            written.add(SUMS_NAME)
        digest = hashlib.sha256(data).hexdigest()
        if digest != manifest.sums:  # another version of a library wrote the same content in other bytes
            if not manifest.digest:
                raise BuildError(
                    f"{self.path}: a build of schema 2 is repaired by the versions of its time: convert it"
                )
            durable.write(self.copy / NAME, manifest.with_sums(digest).dump())
            written.add(NAME)
        document = read_regular(self.copy / NAME)
        form = canonical(read_document(document, NAME))  # damaged spaces between its fields leave a manifest readable
        if document != form:
            durable.write(self.copy / NAME, form)
            written.add(NAME)
        return written

    def _manifest(self) -> Manifest | None:
        try:
            return Manifest.load(self.path)
        except BuildError:
            return None

    def _sums(self, manifest: Manifest) -> Sums | None:
        """Return the recorded sums, None where SHA256SUMS is not the one of the manifest."""
        try:
            data = read_regular(self.path / SUMS_NAME)
        except BuildError:
            return None
        return parse_build_sums(data, SUMS_NAME) if hashlib.sha256(data).hexdigest() == manifest.sums else None

    def _index(self, manifest: Manifest, sums: Sums | None) -> pa.Table | None:
        """Return the index, None where it is not the one that was sealed."""
        try:
            index = Build(self.path, manifest).index()
        except BuildError:
            return None
        if sums is not None:
            return index if sums[INDEX_NAME] == self.actual.get(INDEX_NAME) else None
        packed = index.filter(pc.is_valid(index["shard"]))
        return index if content_digest(packed) == manifest.content_digest else None

    def _suspects(self, manifest: Manifest, problems: list[Problem], own: set[str], documents: Sums) -> set[str]:
        """Return the names of the files that are not what was sealed, or may not be, where no sums tell."""
        sums = {name: self.actual[name] for name in own | documents.keys() if name in self.actual}
        if hashlib.sha256(sum_lines(sums)).hexdigest() == manifest.sums:
            return set()  # only SHA256SUMS is damaged
        wrong = {name for problem in problems for name in (problem.shard, problem.what) if name}
        layout, container = layout_of(manifest), manifest.container
        suspects = {name for name, digest in documents.items() if self.actual.get(name) != digest} | (wrong & own)
        for split, document in manifest.splits.items():
            for number, shard in enumerate(document.shards):
                own_shard = Shard(split, number, shard.count, document.shard_length, 0)
                if shard.name in wrong:
                    suspects |= {container.file(own_shard, layout), container.mask_file(own_shard, layout)}
        return suspects

    def _link(self, without: set[str]) -> None:
        """Link every file of the build into the copy, but for those that are rebuilt."""
        for folder, folders, names in os.walk(self.path):
            place = self.copy / Path(folder).relative_to(self.path)
            place.mkdir(exist_ok=True)
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in [*names, *links]:
                if (place / name).relative_to(self.copy).as_posix() not in without:
                    (place / name).unlink(missing_ok=True)
                    os.link(os.path.join(folder, name), place / name, follow_symlinks=False)

    def _pack(self, manifest: Manifest, index: pa.Table, broken: set[str]) -> None:
        """Pack the shards of broken files again, in the folder of the copy."""
        if not broken:
            self.copy.mkdir()
            return
        layout, container = layout_of(manifest), manifest.container
        origin, rows, counts = self._sources(manifest, index)
        slots = Slots.of(manifest, rows)
        plan = recorded_plan(manifest, index, origin, before=counts)
        draft = Draft(self.target, job_of(self.target, plan), plan, slots.splits, slots.shards)
        write_plan(draft, slots.parts())
        start(draft)
        todo = [s for s in slots.shards if {container.file(s, layout), container.mask_file(s, layout)} & broken]
        pack([replace(draft, shards=todo)], self.runner, self.progress)

    def _sources(self, manifest: Manifest, index: pa.Table) -> tuple[Origin, pa.Table, dict[str, dict[str, int]]]:
        """Return what `sources_of` does; a parent that is needed is built first."""
        request = self.request.rebuild(self.target.work / "again")
        parent = None
        if needs_parent(request):
            with prepare_parent(request, self.runner, self.progress, self.say) as draft:
                pack([draft], self.runner, self.progress)
                parent = seal(draft, self.runner, self.progress)
        return sources_of(request, manifest, index, parent, self.progress, self.say)

    def _documents(self, manifest: Manifest, slots: Slots) -> Sums:
        """Write the documents of the container again, beside the copy; return their sums."""
        layout, container = layout_of(manifest), manifest.container
        for split, document in slots.splits.items():
            (self.scratch / split).mkdir(parents=True)
            rows = slots.rows.filter(pc.equal(slots.rows["split"], split))
            pairs = zip(rows["key"].to_pylist(), pc.list_value_length(rows["files"]).to_pylist(), strict=True)
            keys = [key if files else None for key, files in pairs]
            container.finish(self.scratch, layout, split, document.shard_length, keys)
        container.finish_build(self.scratch, [*slots.splits])
        return file_sums(self.scratch, self.runner)

    def _samples(self, manifest: Manifest, index: pa.Table) -> None:
        """Count the pixels of the copy, and write their figures again."""
        build = Build(self.copy, manifest)
        todo = sorted(shards(build, index, manifest.splits), key=lambda rows: SPLITS.index(rows.split))
        counts = list(count_shards(build, todo, self.runner, self.progress))
        packed = index.filter(pc.is_valid(index["shard"]))
        figures, thumbs = (np.concatenate([getattr(count, name) for count in counts]) for name in ("figures", "thumbs"))
        sink = pa.BufferOutputStream()
        bands = [band.name for band in manifest.bands]
        pq.write_table(samples_table(packed, bands, figures, thumbs), sink, compression="zstd")
        durable.write(self.copy / SAMPLES_NAME, sink.getvalue(), sync=False)
