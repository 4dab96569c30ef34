"""sar-data convert"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import click

from sar_data.builder.request import ConvertRequest, Domain, Dtype
from sar_data.cli.choices import BuildPlace, OneOf, TargetPlace
from sar_data.cli.crew import crew, runner_options
from sar_data.cli.stop import Note
from sar_data.formats import FORMATS, compressions, names
from sar_data.normalization.presets import presets

if TYPE_CHECKING:
    from sar_data.runners import Kind


@click.command("convert", short_help="Bake a sealed build into another container, size, dtype or normalization.")
@click.argument("parent", metavar="BUILD", type=BuildPlace())
@click.option("--format", type=OneOf("format", names), help=", ".join(FORMATS))
@click.option(
    "--compression",
    type=OneOf("compression", compressions),
    help="none, or zstd (zarr only); by default as the parent.",
)
@click.option("--dtype", type=OneOf("dtype", lambda: get_args(Dtype)), help="float16, or int16 (steps of 0.002 dB).")
@click.option("--speckle", metavar="FILTER", help="lee:looks=4.4 or refined-lee:looks=4.4, on power.")
@click.option(
    "--unit",
    metavar="NAME",  # in any case; the request normalizes it
    help="dB, power or amplitude, from another of the three.",
)
@click.option("--crop", type=int, metavar="N", help="N×N pixels, the centre of each image.")
@click.option("--pad", type=int, metavar="N", help="N×N pixels, padded below and on the right.")
@click.option("--resize", type=int, metavar="N", help="N×N pixels, cubic.")
@click.option("--resample", type=OneOf("resample", lambda: get_args(Domain)), help="Resizing averages dB or power.")
@click.option(
    "--normalize",
    type=OneOf("normalize", presets),
    help="zscore, minmax, percentile or robust, of the train split; or a published one (docs/normalization.md).",
)
@click.option(
    "--out", type=TargetPlace(), metavar="DIR|URL", help="Folder of builds, or its URL; by default the parent's."
)
@click.option("--drop-parent", is_flag=True, help="Remove the parent once the new build is sealed.")
@runner_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the path.")
@click.pass_obj
def command(
    note: Note,
    /,
    parent: str,
    workers: int | None,
    runner: Kind | None,
    dask_address: str | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Bake a sealed build into another container, size, dtype or normalization; the parent stays.

    The new build's path is the last line on stdout.
    """
    from sar_data.builder.open import home_of
    from sar_data.cli.outcome import carry_out
    from sar_data.system.store import absolute

    request = ConvertRequest(parent=absolute(parent), **choices)
    with crew(workers, runner, dask_address) as open_runner:
        carry_out(request, open_runner, note, request.out or home_of(request.parent), as_json=as_json)
