"""sar-data build"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sar_data.cli.choices import DatasetName, Existing, OneOf, formats
from sar_data.cli.crew import crew, runner_options
from sar_data.cli.stop import Note
from sar_data.errors import UsageError

if TYPE_CHECKING:
    from sar_data.spec import Pipeline

ON_BAD = ("stop", "quarantine")
PACKINGS = ("none", "zstd")
DTYPES = ("float16", "int16")
METHODS = ("zscore", "minmax")


@click.command("build", short_help="Build a dataset from its raw files into a sealed folder.")
@click.argument("name", type=DatasetName())
@click.option("--source", type=Existing(file=True), help="Folder of the raw files, or their archive.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where what reading an archive needs is kept; without it beside the archive.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where builds are kept.")
@click.option(
    "--format",
    "format_",
    type=OneOf("format", formats),
    default="zarr",
    show_default=True,
    help="lmdb, webdataset or zarr.",
)
@click.option("--variant", metavar="NAME", help="Another form of the dataset; `info` lists them.")
@click.option("--split", metavar="POLICY", help="NAME or NAME:parameter=value,…; `info` lists them.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Seed of splits that draw.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take this many records, in hash order.")
@click.option(
    "--on-bad",
    type=OneOf("--on-bad", lambda: ON_BAD),
    default="stop",
    show_default=True,
    help="A bad record: stop, or quarantine.",
)
@click.option("--lists", type=Existing(), help="Folder of official lists; without it they are sought beside the data.")
@click.option(
    "--compress",
    "--compression",
    "compress",
    type=OneOf("--compress", lambda: PACKINGS),
    default="none",
    show_default=True,
    help="none, or zstd (zarr only).",
)
@click.option(
    "--shard-length",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    metavar="N",
    help="Samples a shard, at most.",
)
@click.option("--rehash", is_flag=True, help="Let the recipe cover the files' contents, not only names and sizes.")
@runner_options
@click.option("--dtype", type=OneOf("--dtype", lambda: DTYPES), help="Bake: float16, or int16 (steps of 0.002 dB).")
@click.option("--crop", type=click.IntRange(min=1), metavar="N", help="Bake: N×N pixels, the centre of each image.")
@click.option("--pad", type=click.IntRange(min=1), metavar="N", help="Bake: N×N pixels, padded below and on the right.")
@click.option("--resize", type=click.IntRange(min=1), metavar="N", help="Bake: N×N pixels, cubic.")
@click.option("--normalize", type=OneOf("--normalize", lambda: METHODS), help="Bake: zscore or minmax, by train.")
@click.option("--drop-parent", is_flag=True, help="Remove the lossless build once the baked one is sealed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the path.")
@click.pass_obj
def command(
    note: Note,
    name: str,
    source: Path | None,
    work: Path | None,
    out: Path,
    format_: str,
    variant: str | None,
    split: str | None,
    seed: int,
    limit: int | None,
    on_bad: Any,
    lists: Path | None,
    compress: str,
    shard_length: int,
    rehash: bool,
    workers: int | None,
    kind: str | None,
    dask_address: str | None,
    dtype: Any,
    crop: int | None,
    pad: int | None,
    resize: int | None,
    normalize: Any,
    drop_parent: bool,
    as_json: bool,
) -> None:
    """Build a dataset from its raw files into a sealed folder, whose path is the last line on stdout.

    A build of the same recipe is made once: run again, the command finds it, or goes on where it was stopped. The
    build is lossless; --crop, --pad, --resize, --normalize and --dtype bake a second one from it.
    """
    import numpy as np

    from sar_data import catalog
    from sar_data import formats as containers
    from sar_data.builder.itinerary import repack
    from sar_data.builder.pack import pack
    from sar_data.builder.prepare import Options, prepare
    from sar_data.builder.repack import Changes
    from sar_data.builder.seal import seal
    from sar_data.cli.baked import baked_from
    from sar_data.cli.meter import Meter
    from sar_data.cli.outcome import drop, said
    from sar_data.split.parse import parse

    pipeline = catalog.pipeline(name, variant)
    compression = None if compress == "none" else compress
    if not pipeline.fit:
        parse(split or next(iter(pipeline.splits)), pipeline.splits)  # a wrong name is said before anything starts
    container = containers.get(format_, compression)
    baking = bool(dtype or crop or pad or resize or normalize)
    # Images of several sizes get one on the way into a container that needs it: the lossless build is another.
    detour = pipeline.spec.shape is None and container.one_shape and bool(crop or pad)
    if dtype and normalize:
        raise UsageError(f"--dtype {dtype} stores dB and --normalize {normalize} leaves no dB: choose one")
    if drop_parent and not baking:
        raise UsageError("--drop-parent: expected --crop, --pad, --dtype, --resize or --normalize with it, found none")
    if source is None:
        raise UsageError(_needs(pipeline))
    options = Options(
        format="webdataset" if detour else format_,
        compression=None if detour else compression,
        split=split,
        seed=seed,
        limit=limit,
        lists=lists,
        work=work,
        shard_length=shard_length,
        rehash=rehash,
        on_bad=on_bad,
    )
    spec = pipeline.spec
    sample_bytes = spec.frames * len(spec.bands) * math.prod(spec.shape or (0,)) * np.dtype(spec.dtype).itemsize
    changes = Changes(
        format=format_, compression=compression, crop=crop, pad=pad, resize=resize, normalize=normalize, dtype=dtype
    )
    with crew(workers, kind, dask_address) as runner:
        with Meter(sample_bytes, shard_length) as meter:
            note.kept = lambda: meter.kept(out)
            with prepare(
                pipeline, source=source, out=out, options=options, runner=runner, progress=meter, tell=meter.say
            ) as draft:
                if drop_parent and not draft.sealed and (found := baked_from(draft, changes)):
                    shutil.rmtree(draft.job.work, ignore_errors=True)  # the plan of a build that is not needed
                    said(found, reused=True, as_json=as_json)
                    return
                pack(draft, runner, meter)
                made = seal(draft, runner, meter)
        if not baking:
            said(made, reused=draft.sealed, as_json=as_json)
            return
        said(made, reused=draft.sealed, last=False)
        with Meter(sample_bytes, shard_length) as meter:
            note.kept = lambda: meter.kept(out)
            baked = repack(made.path, changes, runner=runner, progress=meter)
        if drop_parent:
            drop(made)
        reused, parent = "sums" not in meter.stages, None if drop_parent else made.path
        said(baked, reused=reused, as_json=as_json, parent=parent, brief=True)


def _needs(pipeline: Pipeline) -> str:
    """Return what to fetch, in the words of `fetch`, for who has not said where it is."""
    from sar_data.cli.listing import listing

    spec = pipeline.spec
    lines = [
        f"{spec.name} needs --source, the folder of its raw files or their archive",
        *listing(spec, spec.sources, "a folder of your choice"),
        f"The command that does so: sar-data fetch {spec.name} --to DIR",
        f"To try things without the data: sar-data synth {spec.name} --out DIR",
    ]
    return "\n".join(lines)
