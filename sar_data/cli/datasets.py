"""sar-data datasets"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import click

from sar_data.cli.console import console, line, say
from sar_data.errors import unknown

FILTERS = {"task": "tasks", "band": "bands", "unit": "units", "split": "splits", "source": "source"}
"""Option → the field of a row that it filters."""
LONG = 160  # columns that a table of all cells needs
LONGEST = len("segmentation,")  # word of a task, which is never cut


@click.command("datasets", short_help="List the datasets that can be built.")
@click.option(
    "--task", metavar="KIND", help="Only of this kind: multiclass, multilabel, segmentation, detection, change."
)
@click.option("--band", metavar="NAME", help="Only with this band, such as VH.")
@click.option("--unit", metavar="NAME", help="Only in this unit, such as dB.")
@click.option("--split", metavar="POLICY", help="Only with this split, such as official.")
@click.option("--source", metavar="HOW", help="Only with this way of download: automatic, manual (by hand), both.")
@click.option("--long", "long", is_flag=True, help="Show all fields; as a list on a terminal below 160 columns.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(long: bool, as_json: bool, **filters: str | None) -> None:
    """List the datasets that can be built; --long adds licence, sample, evidence and splits."""
    from sar_data import catalog

    for left_out in catalog.sound()[1]:
        say(f"left out: {left_out}")
    rows = catalog.datasets()
    for name, value in filters.items():
        if value is not None:
            rows = _select(rows, name, value)
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    if long and console().width < LONG:
        _paragraphs(rows)
    else:
        _table(rows, long)


def _paragraphs(rows: list[dict[str, Any]]) -> None:
    """Print all cells of each row below its name."""
    for row in rows:
        for column, cell in _cells(row, long=True).items():
            line("" if column == "name" else f"  {column:8} ", cell)


def _table(rows: list[dict[str, Any]], long: bool) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in _cells(rows[0], long):
        justify: Literal["left", "right"] = "right" if column == "samples" else "left"
        least = LONGEST if column == "task" else None
        table.add_column(column, no_wrap=column == "name", justify=justify, min_width=least)
    for row in rows:
        table.add_row(*_cells(row, long).values())
    console().print(table)


def _select(rows: list[dict[str, Any]], name: str, value: str) -> list[dict[str, Any]]:
    """Return the rows whose field has a value, in any case; raise UsageError for a value of no row."""
    field = FILTERS[name]
    selected = [row for row in rows if value.casefold() in {known.casefold() for known in _values(row, field)}]
    if not selected:
        raise unknown(name, value, {known for row in rows for known in _values(row, field)})
    return selected


def _values(row: Mapping[str, Any], field: str) -> list[str]:
    return list(row[field]) if isinstance(row[field], list) else [row[field]]


def _cells(row: Mapping[str, Any], long: bool) -> dict[str, str]:
    cells = {
        "name": row["name"],
        "task": ", ".join(dict.fromkeys(row["tasks"])),
        "bands": " ".join(row["bands"]),
        "unit": ", ".join(row["units"]),
        "samples": "" if row["samples"] is None else f"{row['samples']:,}",
        "source": row["source"],
    }
    if long:
        cells |= {name: row[name] for name in ("sample", "licence", "evidence")}
        cells["splits"] = ", ".join(row["splits"])
    return cells
