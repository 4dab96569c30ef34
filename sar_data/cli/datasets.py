"""sar-data datasets"""

from __future__ import annotations

import json

import click

from sar_data.cli.console import console


@click.command("datasets", short_help="List the datasets that can be built.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the datasets that can be built: samples' shape, bands, evidence, splits."""
    from sar_data import catalog

    pipelines = {name: catalog.pipeline(name) for name in catalog.names()}
    rows = [
        {
            "name": name,
            "title": p.spec.title,
            "shape": [len(p.spec.bands), *p.spec.shape],
            "dtype": p.spec.dtype,
            "bands": [band.name for band in p.spec.bands],
            "evidence": p.spec.evidence,
            "splits": list(p.splits),
        }
        for name, p in pipelines.items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "title", "sample", "bands", "evidence", "splits (first: default)"):
        table.add_column(column, no_wrap=column == "name")
    for name, p in pipelines.items():
        shape = "×".join(map(str, (len(p.spec.bands), *p.spec.shape)))
        bands, splits = ", ".join(band.name for band in p.spec.bands), ", ".join(p.splits)
        table.add_row(name, p.spec.title, f"{shape} {p.spec.dtype}", bands, p.spec.evidence, splits)
    console().print(table)
