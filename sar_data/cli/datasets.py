"""sar-data datasets"""

from __future__ import annotations

import json

import click

from sar_data.cli.console import console, say


@click.command("datasets", short_help="List the datasets that can be built.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the datasets that can be built: task, bands and unit, size, licence, source, evidence, splits."""
    from sar_data import catalog

    for line in catalog.sound()[1]:
        say(f"left out: {line}")
    rows = catalog.datasets()
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "task", "bands, unit", "sample", "samples", "licence", "source", "evidence", "splits"):
        table.add_column(column, no_wrap=column == "name", justify="right" if column == "samples" else "left")
    for row in rows:
        table.add_row(
            row["name"],
            ", ".join(dict.fromkeys(row["tasks"])),
            f"{' '.join(row['bands'])}, {', '.join(row['units'])}",
            row["sample"],
            "" if row["samples"] is None else f"{row['samples']:,}",
            *(row[name] for name in ("licence", "source", "evidence")),
            ", ".join(row["splits"]),
        )
    console().print(table)
