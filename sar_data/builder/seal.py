"""Seal: write the index, the sums and, last of all, the manifest; then rename the folder into place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from sar_data.builder import suspects
from sar_data.builder.draft import Draft
from sar_data.builder.join import join
from sar_data.errors import BuildError, SplitError, TargetError
from sar_data.progress import Progress
from sar_data.runners import Runner
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.sealed.opened import SUMS_NAME, Build
from sar_data.sealed.sums import sum_lines
from sar_data.system import durable
from sar_data.system.bulk import bulk
from sar_data.system.checksum import sha256


@bulk()
def seal(draft: Draft, runner: Runner, progress: Progress | None = None) -> Build:
    """Complete a packed build and return it sealed; raise BuildError where a shard has no proof."""
    if draft.sealed:
        return Build.open(draft.target.place)
    job = draft.job
    joined = join(draft)
    if (expected := draft.plan.content_digest) not in (None, joined.outcome.content_digest):
        raise BuildError(
            f"{draft.target.place}: expected the content digest {expected}, found {joined.outcome.content_digest}: the "
            "source or the pipeline is not the one that the build was made with. Nothing was sealed"
        )
    suspects.check(joined.outcome.suspect_pixels, draft.plan.suspect_limit)
    if not joined.outcome.splits["train"].count:
        raise SplitError("every train record was quarantined: nothing is left to train on")
    with durable.explain_errors(job.build):
        for split, document in draft.splits.items():
            job.container.finish(job.build, job.layout, split, document.shard_length, joined.keys[split])
        job.container.finish_build(job.build, list(draft.splits))
    sums = sum_lines(draft.target.sums() | file_sums(job.build, runner, progress, joined.sums))
    durable.write(job.build / SUMS_NAME, sums, sync=False)
    with durable.explain_errors(job.build):
        durable.sync_tree(job.build)  # a manifest on disk promises all the rest, zarr's metadata included
    decided = draft.plan.decisions
    decided = decided.model_copy(update={"leakage": decided.leakage | joined.duplicates})
    manifest = Manifest.seal(draft.plan.identity, decided, joined.outcome, sums=hashlib.sha256(sums).hexdigest())
    durable.write(job.build / NAME, manifest.dump())
    draft.target.publish(job.build)
    draft.target.discard()  # the build is sealed; what stays goes with the next run
    draft.sealed = True
    place = draft.target.place
    return Build(place, manifest) if isinstance(place, Path) else Build.open(place)


def file_sums(
    build: Path, runner: Runner, progress: Progress | None = None, known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return name → sha256 of every file but the manifest and the sums themselves; those in `known` are not read."""
    files = [path for path in build.rglob("*") if path.is_file() and path.name not in (NAME, SUMS_NAME)]
    every = {path.relative_to(build).as_posix() for path in files}
    sums = {name: digest for name, digest in (known or {}).items() if name in every}
    names = sorted(every - sums.keys())
    for name, digest in zip(names, runner.map(_sum, [str(build / name) for name in names]), strict=True):
        sums[name] = digest
        if progress:
            progress("sums", len(sums), len(every))
    return sums


def _sum(path: str) -> str:
    """Return a file's sha256; raise TargetError where our own file cannot be read back."""
    try:
        return sha256(path)
    except BuildError as error:
        raise TargetError(str(error)) from error
