"""sar-data build"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from sar_data.builder.request import BadObjects, BadRecords, BuildRequest, Domain, Dtype
from sar_data.cli.choices import (
    BuildFolder,
    DatasetOrFolder,
    ExistingPath,
    FolderPlace,
    ManyOf,
    OneOf,
    PolicyName,
    SourcePlace,
    TargetPlace,
)
from sar_data.cli.crew import crew, runner_options
from sar_data.cli.declaration import DeclaringCommand, declaration_options
from sar_data.cli.stop import Note
from sar_data.errors import UsageError
from sar_data.formats import FORMATS, compressions, names
from sar_data.naming import few
from sar_data.normalization.presets import presets
from sar_data.spec import ComplexAs
from sar_data.system.store import Place, is_url

if TYPE_CHECKING:
    from sar_data.builder.rebuild import RebuildRequest
    from sar_data.runners import Kind
    from sar_data.spec import Pipeline


def _source(ctx: click.Context, param: click.Parameter, value: Place | None) -> Place | None:
    """Return the source; it must exist unless it is fetched. A URL is looked at when it is opened."""
    return value if value is None or ctx.params["fetch"] else FolderPlace(file=True).convert(value, param, ctx)


def _splits(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Return the splits as one text; a build has one split, a plan any number."""
    if len(values) > 1 and not ctx.params["plan"]:
        raise UsageError(f"--split: expected one, found {few(list(values))}: --plan compares several")
    return ",".join(values) or None


def _formats(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Return the containers as one text."""
    return ",".join(values) or None


@click.command("build", cls=DeclaringCommand, short_help="Build a dataset from its raw files into a sealed folder.")
@click.argument("dataset", metavar="NAME|DIR", required=False, type=DatasetOrFolder())
@click.option(
    "--source",
    type=SourcePlace(),
    metavar="PATH|URL",
    callback=_source,
    help="Folder of the raw files, or their archive; or the folder's URL.",
)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the work files of an archive; by default beside the archive.",
)
@click.option(
    "--out", type=TargetPlace(), required=True, metavar="DIR|URL", help="Folder of builds, here or in an object store."
)
@click.option(
    "--format",
    multiple=True,
    type=ManyOf("format", names),
    callback=_formats,
    help=f"{', '.join(FORMATS)}, or several. Without it zarr, or webdataset where images differ in size.",
)
@click.option("--variant", metavar="NAME", help="Another form of the dataset; `info` lists them.")
@click.option(
    "--split",
    multiple=True,
    type=PolicyName(),
    callback=_splits,
    metavar="POLICY",
    help="NAME or NAME:parameter=value,…; `info` lists them; repeatable with --plan.",
)
@click.option(
    "--plan",
    is_flag=True,
    is_eager=True,
    help="Build nothing: show bytes, disk and minutes of the build, and compare --split A,B,…, or all splits.",
)
@click.option(
    "--from", type=BuildFolder(), metavar="BUILD", help="Make that build again: its manifest and index say how."
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Seed of random splits.")
@click.option("--keep", type=BuildFolder(), metavar="BUILD", help="Sealed build whose records stay in their splits.")
@click.option("--limit", type=int, metavar="N", help="Take this many records, in hash order.")
@click.option(
    "--bad-records",
    type=OneOf("bad records", lambda: get_args(BadRecords)),
    default="stop",
    show_default=True,
    help="A bad record: stop, or quarantine.",
)
@click.option(
    "--bad-objects",
    type=OneOf("bad objects", lambda: get_args(BadObjects)),
    help="Impossible objects: drop them, stop, or quarantine their records. By default drop where the dataset is "
    "published with such objects, else stop.",
)
@click.option("--complete", is_flag=True, help="Stop where published records are missing.")
@click.option(
    "--complex-as",
    type=OneOf("complex as", lambda: get_args(ComplexAs)),
    help="Bands made of complex pixels, or of I and Q: iq, or amplitude-phase.",
)
@click.option(
    "--suspect-limit",
    type=float,
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="Stop where a larger share of a band's pixels looks like undeclared no data.",
)
@click.option("--lists", type=ExistingPath(), help="Folder of official lists; by default beside the data.")
@click.option(
    "--compression",
    type=OneOf("compression", compressions),
    default="none",
    show_default=True,
    help="none, or zstd (zarr only).",
)
@click.option("--shard-length", type=int, default=256, show_default=True, metavar="N", help="Samples a shard, at most.")
@click.option("--rehash", is_flag=True, help="Let the recipe cover the files' contents, not only names and sizes.")
@runner_options
@click.option(
    "--dtype", type=OneOf("dtype", lambda: get_args(Dtype)), help="Bake: float16, or int16 (steps of 0.002 dB)."
)
@click.option("--speckle", metavar="FILTER", help="Bake: lee:looks=4.4 or refined-lee:looks=4.4, on power.")
@click.option(
    "--unit",
    metavar="NAME",  # in any case; the request normalizes it
    help="Bake: dB, power or amplitude, from another of the three; for your own data, the unit of its values.",
)
@click.option("--crop", type=int, metavar="N", help="Bake: N×N pixels, the centre of each image.")
@click.option("--pad", type=int, metavar="N", help="Bake: N×N pixels, padded below and on the right.")
@click.option("--resize", type=int, metavar="N", help="Bake: N×N pixels, cubic.")
@click.option(
    "--resample", type=OneOf("resample", lambda: get_args(Domain)), help="Bake: resizing averages dB or power."
)
@click.option(
    "--normalize",
    type=OneOf("normalize", presets),
    help="Bake: zscore, minmax, percentile or robust, by train; or a published one (docs/normalization.md).",
)
@click.option("--drop-parent", is_flag=True, help="Remove the lossless build once the baked one is sealed.")
@click.option("--fetch", is_flag=True, is_eager=True, help="Download missing files into the source first.")
@click.option("--mirror", metavar="URL", help="URL of a folder that has the files, used instead of the publisher.")
@click.option("--accept-licence", is_flag=True, help="Accept the dataset's licence, where a download requires it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the path.")
@declaration_options
@click.pass_obj
def command(
    note: Note,
    /,
    dataset: str | Path | None,
    variant: str | None,
    source: Place | None,
    workers: int | None,
    runner: Kind | None,
    dask_address: str | None,
    as_json: bool,
    plan: bool,
    **choices: Any,
) -> None:
    """Build a dataset from its raw files into a sealed folder, whose path is the last line on stdout.

    NAME is a dataset that `datasets` lists. DIR is a folder of your own with a dataset.toml, which `init DIR` writes.
    `build custom --source DIR` builds one without the file: its fields are options, too.

    A build of the same recipe is made once: run again, the command returns it, or continues where it was stopped. The
    build is lossless; --speckle, --unit, --crop, --pad, --resize, --normalize and --dtype bake a second one from it.
    --format zarr,lmdb seals one build a container, and reads each image once. --plan builds samples, which it removes:
    it prints bytes, disk, memory and minutes of the build, what it lacks, and leakage and cost of each split.
    --from BUILD makes the same content again, of raw files or of another build; manifest and index of BUILD are enough.
    """
    from sar_data import catalog
    from sar_data.cli.outcome import carry_out
    from sar_data.cli.outlook import print_outlook

    if isinstance(dataset, Path):
        if source is not None:
            raise UsageError(f"{dataset}: expected a folder or --source, found both")
        source = dataset
        dataset = None if choices["from"] else _recognise(source)
    if (earlier := choices.pop("from")) is not None:
        request: BuildRequest | RebuildRequest = _rebuild_request(earlier, dataset, source, choices)
        with crew(workers, runner, dask_address) as open_runner:
            carry_out(request, open_runner, note, request.out, as_json=as_json)
        return
    if dataset is None:
        raise UsageError("expected the name of a dataset, a folder with a dataset.toml, or --from BUILD, found none")
    splits = choices.pop("split") if plan else None  # several, where a build has one
    request = BuildRequest(dataset=dataset, variant=variant, source=source or Path(), **choices)
    if source is None:
        raise UsageError(_missing_source(catalog.pipeline(dataset, variant)))
    with crew(workers, runner, dask_address) as open_runner:
        if plan:
            print_outlook(request, splits, open_runner, as_json=as_json)
            return
        carry_out(request, open_runner, note, request.out, as_json=as_json)


def _rebuild_request(
    earlier: Path, dataset: str | None, source: Place | None, choices: dict[str, Any]
) -> RebuildRequest:
    """Return the request of --from; raise UsageError for options that the earlier build decides."""
    from click.core import ParameterSource

    from sar_data.builder.rebuild import RebuildRequest

    ctx = click.get_current_context()
    for name in choices.keys() - {"out", "work"} | {"variant", "plan"}:
        if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')}: expected no such choice with --from, which decides it")
    if is_url(source):
        raise UsageError(f"--source {source}: expected a folder, an archive or a build here, as --from needs")
    if source is None:
        raise UsageError("--from needs --source: the raw files, their archive, or another build of the same content")
    return RebuildRequest(path=earlier, source=Path(source), out=choices["out"], dataset=dataset, work=choices["work"])


def _recognise(folder: Path) -> str:
    """Return the name of the dataset that has samples in a folder."""
    from sar_data.builder.raw_statistics import recognise

    return recognise(folder).spec.name


def _missing_source(pipeline: Pipeline) -> str:
    """Return the files to fetch, as `fetch` lists them, for a user who named no source."""
    from sar_data.cli.listing import listing

    spec = pipeline.spec
    form = f" --variant {spec.variant}" if spec.variant else ""
    lines = [
        f"{spec.name} needs --source, the folder of its raw files or their archive",
        *listing(spec, spec.sources, "a folder of your choice"),
        f"To download them: sar-data fetch {spec.name}{form} --to DIR",
        f"To try the commands without the data: sar-data synth {spec.name} --out DIR",
    ]
    return "\n".join(lines)
