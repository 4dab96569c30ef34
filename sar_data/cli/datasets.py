"""sar-data datasets"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sar_data.cli.console import console
from sar_data.errors import UsageError
from sar_data.spec import sample_shape

if TYPE_CHECKING:
    from sar_data.spec import DatasetSpec


@click.command("datasets", short_help="List the datasets that can be built.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the datasets that can be built: task, bands and unit, size, licence, source, evidence, splits."""
    from sar_data import catalog

    pipelines, wrong = {}, catalog.wrong()
    for name in catalog.names():
        try:
            pipelines[name] = catalog.pipeline(name)
        except UsageError as error:
            wrong = [*wrong, str(error)]
    for line in wrong:
        click.echo(f"left out: {line}", err=True)
    rows = [
        {
            "name": name,
            "title": p.spec.title,
            "tasks": [task.kind for task in p.spec.tasks] or ["none"],
            "bands": [band.name for band in p.spec.bands],
            "units": list(dict.fromkeys(p.spec.units)),
            "sample": f"{sample_shape(p.spec.frames, len(p.spec.bands), p.spec.shape)} {p.spec.dtype}",
            "samples": p.spec.samples,
            "licence": p.spec.licence,
            "source": _source(p.spec),
            "evidence": p.spec.evidence,
            "variants": list(p.variants),
            "splits": list(p.splits),
        }
        for name, p in pipelines.items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "task", "bands, unit", "sample", "samples", "licence", "source", "evidence", "splits"):
        table.add_column(column, no_wrap=column == "name", justify="right" if column == "samples" else "left")
    for row, p in zip(rows, pipelines.values(), strict=True):
        bands = f"{' '.join(band.name for band in p.spec.bands)}, {', '.join(dict.fromkeys(p.spec.units))}"
        count = "" if p.spec.samples is None else f"{p.spec.samples:,}"
        tasks = ", ".join(dict.fromkeys(task.kind for task in p.spec.tasks)) or "none"
        cells = (tasks, bands, str(row["sample"]), count, p.spec.licence, str(row["source"]), p.spec.evidence)
        table.add_row(str(row["name"]), *cells, ", ".join(p.splits))
    console().print(table)


def _source(spec: DatasetSpec) -> str:
    """Say whether the data come by themselves or by a person's hand; lists do not count."""
    manual = [bool(source.manual) for source in spec.sources if source.name not in spec.lists]
    if not manual:
        return "your own"
    return "manual" if all(manual) else "both" if any(manual) else "automatic"
