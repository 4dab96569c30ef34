"""sar-data convert"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sar_data.cli.choices import BuildFolder, OneOf, formats
from sar_data.cli.crew import crew, workers_option
from sar_data.cli.stop import Note
from sar_data.errors import UsageError

PACKINGS = ("none", "zstd")
DTYPES = ("float16", "int16")
METHODS = ("zscore", "minmax")


@click.command("convert", short_help="Bake a sealed build into another container, size, dtype or normalization.")
@click.argument("path", metavar="BUILD", type=BuildFolder())
@click.option("--format", "format_", type=OneOf("format", formats), help="lmdb, webdataset or zarr.")
@click.option(
    "--compress",
    "--compression",
    "compress",
    type=OneOf("--compress", lambda: PACKINGS),
    help="none, or zstd (zarr only); without it as the parent.",
)
@click.option("--dtype", type=OneOf("--dtype", lambda: DTYPES), help="float16, or int16 (steps of 0.002 dB).")
@click.option("--crop", type=click.IntRange(min=1), metavar="N", help="N×N pixels, the centre of each image.")
@click.option("--pad", type=click.IntRange(min=1), metavar="N", help="N×N pixels, padded below and on the right.")
@click.option("--resize", type=click.IntRange(min=1), metavar="N", help="N×N pixels, cubic.")
@click.option("--normalize", type=OneOf("--normalize", lambda: METHODS), help="zscore or minmax, of the train split.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Where builds are kept; the parent's.")
@click.option("--drop-parent", is_flag=True, help="Remove the parent once the new build is sealed.")
@workers_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the path.")
@click.pass_obj
def command(
    note: Note,
    path: Path,
    format_: str | None,
    compress: str | None,
    dtype: Any,
    crop: int | None,
    pad: int | None,
    resize: int | None,
    normalize: Any,
    out: Path | None,
    drop_parent: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Bake a sealed build into another container, size, dtype or normalization; the parent stays.

    The new build's path is the last line on stdout.
    """
    from sar_data.builder.itinerary import repack
    from sar_data.builder.repack import Changes
    from sar_data.cli.meter import Meter
    from sar_data.cli.outcome import drop, said
    from sar_data.sealed.opened import Build, layout_of

    parent = Build.open(path.absolute())
    manifest = parent.manifest
    container = format_ or manifest.format
    kept = manifest.compression if container == manifest.format else None
    compression = kept if compress is None else None if compress == "none" else compress
    baking: dict[str, Any] = {"crop": crop, "pad": pad, "resize": resize, "normalize": normalize, "dtype": dtype}
    if (container, compression) == (manifest.format, manifest.compression) and not any(baking.values()):
        names = ", ".join(f"--{name}" for name in baking)
        raise UsageError(f"nothing to change: name another --format, --compress or one of {names}")
    changes = Changes(format=container, compression=compression, **baking)
    with crew(workers) as runner, Meter(layout_of(manifest).image_bytes()) as meter:
        note.kept = lambda: meter.kept(out or parent.path.parents[2])
        made = repack(parent.path, changes, out=out, runner=runner, progress=meter)
    if drop_parent:
        drop(parent)
    reused = "sums" not in meter.stages
    said(made, reused=reused, as_json=as_json, parent=None if drop_parent else parent.path)
