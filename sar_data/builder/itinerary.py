"""The itinerary, once: prepare, pack, seal; for a raw dataset and for a repack of a sealed build."""

from __future__ import annotations

from pathlib import Path

from sar_data.builder.pack import pack
from sar_data.builder.prepare import Options, prepare
from sar_data.builder.repack import Changes, prepare_repack
from sar_data.builder.seal import seal
from sar_data.progress import Progress, Say
from sar_data.runners import Runner, Serial
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline


def build(
    pipeline: Pipeline,
    *,
    source: Path,
    out: Path,
    options: Options | None = None,
    runner: Runner | None = None,
    progress: Progress | None = None,
    tell: Say | None = None,
) -> Build:
    """Build a dataset from `source`, a folder or an archive of its raw files; return the sealed build below `out`.

    A sealed build of the same recipe is returned as it is; an interrupted one goes on. Raises SarDataError.
    """
    runner = runner or Serial()
    options = options or Options()
    with prepare(
        pipeline, source=source, out=out, options=options, runner=runner, progress=progress, tell=tell
    ) as draft:
        pack(draft, runner, progress)
        return seal(draft, runner, progress)


def repack(
    parent: Path,
    changes: Changes,
    *,
    out: Path | None = None,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> Build:
    """Bake `changes` into a new sealed build, beside its parent unless `out` says where; the parent stays as it is."""
    runner = runner or Serial()
    with prepare_repack(Build.open(parent), changes, out=out) as draft:
        pack(draft, runner, progress)
        return seal(draft, runner, progress)
