"""sar-data train"""

from __future__ import annotations

import json
import os
import re
import signal
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click

from sar_data.cli import weights
from sar_data.cli.choices import BuildPlace, OneOf, RunFolder, SplitName, resolve_word
from sar_data.cli.console import line, say
from sar_data.cli.examples import with_examples
from sar_data.cli.stop import Note
from sar_data.errors import MissingExtra, UsageError, unknown
from sar_data.system.cores import limit_spinning


def _jobs() -> dict[str, str]:
    """Return the help of each job by its name; none where the extra `train` is not installed."""
    try:
        from sar_data.train.settings import JOBS
    except MissingExtra:
        return {}
    return {name: (settings.__doc__ or "").partition("\n")[0] for name, settings in JOBS.items()}


class Jobs(click.Group):
    """The jobs, whose options are the fields of their settings, and the commands for finished runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_jobs(), *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name) or _job(cmd_name)
        if command is None and not ctx.resilient_parsing:
            raise unknown("job", cmd_name, self.list_commands(ctx))
        return command and with_examples(command, ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        others = {name: command.get_short_help_str() for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(list({**_jobs(), **others}.items()))


@click.group("train", cls=Jobs, short_help="Train on a build: probe, finetune, segment, change, detect, pretrain.")
def command() -> None:
    """Train on a sealed build, or several as one set, on one process, or under torchrun on many:

    torchrun --nproc-per-node N -m sar_data train JOB BUILD… --out RUN
    """


def _job(name: str) -> click.Command | None:
    """Return a job's command, one option for each field of its settings; None for an unknown job.

    Raises MissingExtra where the extra `train` is not installed.
    """
    from sar_data.train.settings import JOBS

    if name not in JOBS:
        return None
    options: list[click.Parameter] = [
        click.Argument(["build"], type=BuildPlace(), nargs=-1, required=True, metavar="BUILD…"),
        click.Option(["--out"], required=True, metavar="RUN", help="Folder of this run; an unfinished one continues."),
        click.Option(["--preset"], metavar="NAME", help="A named set of options, or a .toml file (train presets)."),
        click.Option(
            ["--mix"], callback=_parse_shares, metavar="X,Y,…", help="Of several builds: their shares of the samples."
        ),
        click.Option(
            ["--statistics"], metavar="own|joint", help="Of several builds: whose figures normalize them.  [own]"
        ),
        click.Option(
            ["--drop-duplicates/--no-drop-duplicates"],
            default=None,
            help="Leave out train samples that are also in val or test, or twice in train.",
        ),
    ]
    for field, info in JOBS[name].model_fields.items():
        options.append(_option(field, info.annotation, info.default, info.description or ""))
    return click.Command(
        name, params=options, callback=_job_callback(name), help=_jobs()[name], short_help=_jobs()[name]
    )


def _option(field: str, annotation: Any, default: Any, text: str) -> click.Option:
    """Return the option of a field; without a value the preset or the field's default holds."""
    flag = f"--{field.replace('_', '-')}"
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not types.NoneType]
    if get_origin(annotation) is tuple:
        shown = ",".join(map(str, default)) or "none"
        return click.Option([flag], callback=_parse_list, metavar="A,B,…", help=f"{text}  [{shown}]")
    tuples = [kind for kind in kinds if get_origin(kind) is tuple]
    if tuples:
        return click.Option([flag], callback=_parse_list, metavar="A,B,…", help=text)
    if annotation is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}"], default=None, help=text)
    if get_origin(annotation) is Literal:
        choices = [str(kind) for kind in kinds]
        shown = "|".join(choices)
        return click.Option([flag], type=OneOf(field, lambda: choices), metavar=shown, help=f"{text}  [{default}]")
    kind = kinds[0]
    shown = "" if default is None else f"  [{default}]"
    metavar = {int: "N", float: "X"}.get(kind, "TEXT")
    return click.Option([flag], type=kind, metavar=metavar, help=text + shown)


def _parse_list(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    return () if value in ("", "none") else tuple(part.strip() for part in value.split(","))


def _build_or_other(ctx: click.Context, param: click.Parameter, value: str) -> str:
    return _resolve(value, "build")


def _run_or_other(ctx: click.Context, param: click.Parameter, value: str) -> str:
    return _resolve(value, "run")


def _resolve(value: str, kind: Literal["build", "run"]) -> str:
    """Return the path of a build or run that a word means; a file, an address or a tag stays as it is."""
    is_place = ":" in value or Path(value).exists()
    return value if is_place else str(resolve_word(value, kind) or value)


def _parse_shares(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    try:
        return None if value is None else tuple(map(float, value.split(",")))
    except ValueError:
        raise UsageError(f"--mix {value}: expected a number for each build, such as 1,3") from None


def _job_callback(job: str) -> Callable[..., None]:
    @click.pass_obj
    def callback(note: Note, /, build: tuple[str, ...], out: str, preset: str | None, **options: Any) -> None:
        limit_spinning(os.environ)
        from sar_data.train.request import TrainRequest
        from sar_data.train.verbs import carry_out

        together = {name: options.pop(name) for name in ("mix", "statistics", "drop_duplicates")}
        settings = {name: value for name, value in options.items() if value is not None}
        request = TrainRequest(job=job, build=build, out=out, preset=preset, settings=settings, **together)
        kept = "the features are" if job == "probe" else "the last checkpoint is"
        with _report_halt(note, f"{kept} kept in {out}"):
            metrics = carry_out(request, say)
        _show(metrics, request.options.select)

    return callback


@contextmanager
def _report_halt(note: Note, kept: str) -> Iterator[None]:
    """Report what is kept where a signal stops the block; the same command continues from there."""
    from sar_data.train.run.halt import Halted

    note.describe_kept = lambda: f"{kept}; the same command continues from there"
    try:
        yield
    except Halted as halted:
        text = str(halted)
        note.describe_kept = lambda: text
        signal.raise_signal(halted.number)
        raise


def _show(metrics: dict[str, Any], select: str) -> None:
    """Print each split's figures, one a line; the label says where the test split chose the checkpoint."""
    for split, figures in metrics.items():
        if "count" not in figures:  # a figure of the run as a whole
            continue
        chosen = split == "test" and (select == "test" or "chosen_on" in figures)
        label = f"{split} (chosen on, as published)" if chosen else split
        shown = "  ".join(f"{name} {value:.4f}" for name, value in figures.items() if isinstance(value, float))
        click.echo(f"{label:<4}  {shown}  of {figures['count']}")


@command.command("benchmark", short_help="Run a published suite of tasks, in one table.")
@click.argument("suite", metavar="SUITE")
@click.option("--builds", required=True, metavar="DIR", help="Folder of the builds of all tasks.")
@click.option("--out", required=True, metavar="DIR", help="Folder of the runs; an unfinished benchmark continues.")
@click.option("--weights", metavar="TEXT", help="Of the frozen encoder, as jobs take them.")
@click.option("--model", metavar="NAME", help="The frozen encoder; by default the presets'.")
@click.option("--stem", metavar="TEXT", help="Of the weights: bands of the first layer, where the file does not say.")
@click.option("--normalize", metavar="NAME", help="Of all rows; by default the presets'.")
@click.option("--image-size", type=int, metavar="N", help="Of all rows: side that images are resized to.")
@click.option("--batch-size", type=int, metavar="N", help="Of all rows; by default the presets'.")
@click.option("--epochs", type=int, metavar="N", help="Of all rows; by default the presets'.")
@click.option("--seed", type=int, metavar="N", help="Of all rows.")
@click.option("--amp", metavar="none|bf16|fp16", help="Of all rows: precision of the forward pass.")
@click.option("--threads", type=int, metavar="N", help="Of all rows: threads that read.")
@click.option("--device", metavar="NAME", help="cpu or cuda; by default a GPU where there is one.")
@click.pass_obj
def benchmark(note: Note, /, **options: Any) -> None:
    """Run the presets of a published suite one after another, and print one table beside the published figures.

    SUITE is copernicus-bench-s1: EuroSAT-S1, BigEarthNet-S1, DFC2020-S1 and Flood-S1. Each task has a supervised small
    network and a random encoder as rows, and the encoder of the weights.
    """
    limit_spinning(os.environ)
    from sar_data.train import benchmark as run_benchmark
    from sar_data.train.request import BENCHED

    settings = {name: value for name in BENCHED if (value := options.pop(name)) is not None}
    with _report_halt(note, f"finished runs are kept in {options['out']}"):
        table = run_benchmark(**options, settings=settings or None, say=say)
    click.echo(table, nl=False)


@command.command("evaluate", short_help="Judge a finished run on a split of any build of its task.")
@click.argument("run", type=RunFolder(), metavar="RUN")
@click.argument("build", type=BuildPlace(), metavar="BUILD")
@click.option(
    "--split", type=SplitName(), default="test", show_default=True, metavar="NAME", help="train, val or test."
)
@click.option("--out", metavar="DIR", help="Folder of the figures; by default in the run's.")
@click.option(
    "--normalize-by",
    default="run",
    show_default=True,
    metavar="run|build",
    help="Whose train split normalizes the images: the run's, or the build's own.",
)
@click.option(
    "--picture-format",
    default="png",
    show_default=True,
    metavar="png|pdf|svg",
    help="Of pictures; drawn again in another one.",
)
@click.option("--device", metavar="NAME", help="cpu or cuda; by default a GPU where there is one.")
@click.pass_obj
def evaluate(note: Note, /, **options: Any) -> None:
    """Judge a finished run on one split of a build, on one process, or under torchrun on many.

    Bands, units and classes are matched by name; a mismatch is reported, or refused.
    """
    limit_spinning(os.environ)
    from sar_data.train import evaluate as run_evaluation

    with _report_halt(note, "finished predictions are kept"):
        metrics = run_evaluation(**options, say=say)
    _show(metrics, "")


@command.command("predict", short_help="Write a finished run's predictions for images: maps, tables, boxes.")
@click.argument("run", type=RunFolder(), metavar="RUN")
@click.argument("source", metavar="SOURCE", callback=_build_or_other)
@click.option("--out", required=True, metavar="DIR", help="Folder of the predictions; an unfinished one continues.")
@click.option("--split", type=SplitName(), metavar="NAME", help="Of a build: train, val or test; by default all.")
@click.option("--bands", callback=_parse_list, metavar="A,B,…", help="Of images: the bands of a file, in their order.")
@click.option("--unit", metavar="NAME", help="Of images: dB, power or amplitude; by default the model's unit.")
@click.option("--tile", type=int, metavar="N", help="Of images: side of windows; by default as in training.")
@click.option(
    "--thresholds",
    default="fixed",
    show_default=True,
    metavar="fixed|run",
    help="Of several labels: predict those above 0.5, or above the thresholds that the run chose on val.",
)
@click.option("--picture-format", default="png", show_default=True, metavar="png|pdf|svg", help="Of the sheet.")
@click.option("--device", metavar="NAME", help="cpu or cuda; by default a GPU where there is one.")
@click.pass_obj
def predict(note: Note, /, **options: Any) -> None:
    """Predict on images with a finished run's model.

    SOURCE is a sealed build, a folder of images, or one image of any size, on disk or behind a URL. Masks become
    GeoTIFFs in the image's own grid, boxes COCO, GeoJSON and Parquet, classes CSV and Parquet.
    """
    limit_spinning(os.environ)
    from sar_data.train import predict as write_predictions

    with _report_halt(note, f"finished predictions are kept in {options['out']}"):
        counts = write_predictions(**options, say=say)
    width = max(map(len, counts))
    for name, count in counts.items():
        click.echo(f"{name:<{width}}  {count:>12,}")


_OF_WEIGHTS = (
    click.option("--model", metavar="NAME", help="Of weights: encoder."),
    click.option("--stem", metavar="TEXT", help="Of weights: bands of the first layer, where the file does not say."),
    click.option("--bands", callback=_parse_list, metavar="A,B,…", help="Of weights: bands by name; by default all."),
    click.option("--unit", metavar="NAME", help="Of weights: dB, power or amplitude; by default the build's."),
    click.option("--normalize", metavar="NAME", help="Of weights: zscore, minmax, fgmae-uint8, sarhub, …"),
    click.option("--image-size", type=int, metavar="N", help="Of weights: side that images are resized to."),
    click.option("--resample", metavar="dB|power", help="Of weights: resizing averages dB or power."),
    click.option("--crop", type=int, metavar="N", help="Of weights: central windows of this side."),
    click.option("--pad", type=int, metavar="N", help="Of weights: extend images to this side."),
    click.option("--batch-size", type=int, metavar="N", help="Of weights: images a step."),
)


def _of_weights(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an encoder that comes from weights."""
    for option in reversed(_OF_WEIGHTS):
        command = option(command)
    return command


@command.command("embed", short_help="Write the features of a build's images, one vector a key.")
@click.argument("source", metavar="RUN|WEIGHTS", callback=_run_or_other)
@click.argument("build", type=BuildPlace(), metavar="BUILD")
@click.option("--out", required=True, metavar="FILE", help="Parquet file; an unfinished one continues.")
@click.option("--split", type=SplitName(), metavar="NAME", help="train, val or test; by default all.")
@click.option("--pooling", metavar="NAME", help="cls, mean, last4, or grid: all tokens; by default the run's.")
@click.option("--dtype", default="float16", show_default=True, metavar="NAME", help="float16 or float32.")
@click.option("--like", metavar="KEY", help="Draw the nearest neighbours of a key beside the file.")
@click.option("--picture-format", default="png", show_default=True, metavar="png|pdf|svg", help="Of the neighbours.")
@click.option("--device", metavar="NAME", help="cpu or cuda; by default a GPU where there is one.")
@_of_weights
@click.pass_obj
def embed(note: Note, /, **options: Any) -> None:
    """Write the features of a build's images to a Parquet file: key, split and a vector or a grid, with their origin.

    RUN is the folder of a finished run; WEIGHTS are a file, hf:REPO/FILE@REVISION, torchgeo:ENUM or timm:TAG.
    """
    limit_spinning(os.environ)
    from sar_data.train import embed as write_features
    from sar_data.train.request import WEIGHTED

    settings = {name: value for name in WEIGHTED if (value := options.pop(name)) is not None}
    with _report_halt(note, f"finished features are kept beside {options['out']}"):
        path = write_features(**options, settings=settings or None, say=say)
    click.echo(path)


@command.command("explain", short_help="Show what an encoder leans on in each chip: knowledge points.")
@click.argument("source", metavar="RUN|WEIGHTS", callback=_run_or_other)
@click.argument("build", type=BuildPlace(), metavar="BUILD")
@click.option("--out", required=True, metavar="DIR", help="Folder of tables and pictures.")
@click.option(
    "--split", type=SplitName(), default="test", show_default=True, metavar="NAME", help="train, val or test."
)
@click.option("--count", type=int, default=16, show_default=True, metavar="N", help="Chips, the first of the split.")
@click.option("--cells", type=int, default=16, show_default=True, metavar="N", help="Cells along each side of a chip.")
@click.option("--draws", type=int, default=8, show_default=True, metavar="N", help="Draws of noise a step.")
@click.option("--steps", type=int, default=60, show_default=True, metavar="N", help="Steps of the optimisation.")
@click.option("--threshold", type=float, default=0.3, show_default=True, metavar="X", help="Nats below the background.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of the noise.")
@click.option("--picture-format", default="png", show_default=True, metavar="png|pdf|svg", help="Of the pictures.")
@click.option("--device", metavar="NAME", help="cpu or cuda; by default a GPU where there is one.")
@_of_weights
def explain(**options: Any) -> None:
    """Find the noise that each cell of a chip tolerates before an encoder's features move, and the cells that tolerate
    little: a picture a chip, and a table of their shares in target, shadow and background.

    RUN is the folder of a finished run; WEIGHTS are a file, hf:REPO/FILE@REVISION, torchgeo:ENUM or timm:TAG.
    """
    limit_spinning(os.environ)
    from sar_data.train import explain as write
    from sar_data.train.request import WEIGHTED

    settings = {name: value for name in WEIGHTED if (value := options.pop(name)) is not None}
    for name, value in write(**options, settings=settings or None, say=say).items():
        click.echo(f"{name:<18} {'–' if value is None else value}")


@command.command("export", short_help="Write a finished run's model as ONNX or TorchScript, with a card.")
@click.argument("run", type=RunFolder(), metavar="RUN")
@click.option("--to", required=True, metavar="onnx|torchscript|fgmae", help="Form of the file.")
@click.option("--out", required=True, metavar="DIR", help="Folder of the file, its description and its card.")
def export(**options: Any) -> None:
    """Write a finished run's model as one file, checked against the run, with a model card.

    The file takes images in physical units: normalization and size are inside. fgmae, of a pretraining, has its tensors
    as FG-MAE's own scripts read them.
    """
    limit_spinning(os.environ)
    from sar_data.train import export as write

    click.echo(write(**options, say=say))


@command.command("presets", short_help="List the presets, or show one.")
@click.argument("name", required=False)
def presets(name: str | None) -> None:
    """List the presets, or show the settings and the source of one."""
    from sar_data.train.preset import find, names

    if name is not None:
        preset = find(name)
        click.echo(f"{preset.name}, for `sar-data train {preset.job}`\n\n{preset.about.strip()}\n")
        click.echo(json.dumps(preset.settings, indent=1))
        return
    known = [find(name) for name in names()]
    width = max(len(preset.name) for preset in known) + 2
    for preset in known:
        title = re.split(r"[.:] | \(", " ".join(preset.about.split()))[0]
        line(f"{preset.name:<{width}}{preset.job:<10}", title)


command.add_command(weights.command)


@command.command("compare", short_help="Compare finished runs.")
@click.argument("runs", nargs=-1, required=True, type=RunFolder(), metavar="RUN…")
@click.option("--split", type=SplitName(), default="test", show_default=True, metavar="NAME")
@click.option("--over", metavar="seed", help="Mean and deviation of runs that differ only in this.")
@click.option("--csv", is_flag=True, help="Print CSV instead of Markdown.")
@click.option("--latex", is_flag=True, help="Print LaTeX (booktabs) instead of Markdown.")
def compare(**options: Any) -> None:
    """Print a table of finished runs: the options that differ, and the results.

    Differences to the first run are tested on the samples of both, resampled in pairs.
    """
    from sar_data.train import compare as comparison_table

    click.echo(comparison_table(**options), nl=False)


@command.command("report", short_help="Write finished runs as one HTML page.")
@click.argument("runs", nargs=-1, required=True, type=RunFolder(), metavar="RUN…")
@click.option("--out", metavar="FILE.html", help="By default RUN.report.html, beside the first run.")
@click.option("--language", default="en", show_default=True, metavar="en|zh", help="Of the page.")
def report(runs: tuple[Path, ...], out: str | None, language: str) -> None:
    """Write the options and the results of finished runs as one HTML page, without network and scripts.

    Curves, figures with intervals, confusion, calibration, worst and best samples, and paired differences to the first.
    """
    from sar_data.train import report as write

    click.echo(str(write(runs, out=out, language=language).absolute()))
