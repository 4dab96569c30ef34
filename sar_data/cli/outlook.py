"""The table of `build --plan`: a line a split with leakage, lost samples, and the largest deviation of a class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sar_data.cli.console import console, line

if TYPE_CHECKING:
    from sar_data.builder.request import BuildRequest
    from sar_data.builder.splits import SplitOutlook
    from sar_data.runners import Runner

SHOWN = {"touching": "touch", "identical": "ground", "place": "place", "group": "group"}
"""Figure of leakage → its column."""


def print_outlooks(request: BuildRequest, split: str | None, runner: Runner, *, as_json: bool) -> None:
    """Print counts, leakage and cost of several splits of a source."""
    from rich.table import Table

    from sar_data.builder.splits import outlooks
    from sar_data.cli.meter import Meter

    with Meter() as meter:
        rows = outlooks(request, split, runner, meter, meter.say)
    if as_json:
        click.echo(json.dumps([outlook.document() for outlook in rows], indent=1, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("split", "train", "val", "test", "unused", *SHOWN.values(), "buffers", "classes"):
        table.add_column(name, justify="left" if name == "split" else "right")
    for outlook in rows:
        if not outlook.failure:
            table.add_row(*_cells(outlook))
    console().print(table)
    for outlook in rows:
        if outlook.failure:
            line(f"{outlook.split}: ", outlook.failure)
    click.echo(
        "touch, ground, place, group: % of test that touch train, show its ground, are of its place or group; "
        "– is not known\nbuffers: % of samples left out; classes: largest deviation of a share, in points"
    )


def _cells(outlook: SplitOutlook) -> Iterator[str]:
    yield outlook.split
    yield from (f"{count:,}" for count in outlook.counts.values())
    for name in SHOWN:
        value = outlook.leakage[name].value
        yield "–" if value is None else f"{100 * value:.1f}"
    if outlook.cost is not None:
        yield f"{100 * outlook.cost.buffered / max(outlook.cost.of, 1):.1f}"
        yield "–" if outlook.cost.deviation is None else f"{100 * outlook.cost.deviation:.1f}"
