"""What `build --plan` shows: a line a split, with its leakage, the samples it loses, and how far classes are off."""

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


def planned(request: BuildRequest, split: str | None, runner: Runner, *, as_json: bool) -> None:
    """Print what each of some splits of a source would come to."""
    from rich.table import Table

    from sar_data.builder.splits import outlooks
    from sar_data.cli.meter import Meter

    with Meter() as meter:
        found = outlooks(request, split, runner, meter, meter.say)
    if as_json:
        click.echo(json.dumps([one.document() for one in found], indent=1, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("split", "train", "val", "test", "unused", *SHOWN.values(), "buffers", "classes"):
        table.add_column(name, justify="left" if name == "split" else "right")
    for one in found:
        if not one.failure:
            table.add_row(*_cells(one))
    console().print(table)
    for one in found:
        if one.failure:
            line(f"{one.split}: ", one.failure)
    click.echo(
        "touch, ground, place, group: % of test that touch train, show its ground, are of its place or group; "
        "– is not known\nbuffers: % of samples left out; classes: largest deviation of a share, in points"
    )


def _cells(one: SplitOutlook) -> Iterator[str]:
    yield one.split
    yield from (f"{count:,}" for count in one.counts.values())
    for name in SHOWN:
        value = one.leakage[name].value
        yield "–" if value is None else f"{100 * value:.1f}"
    if one.cost is not None:
        yield f"{100 * one.cost.buffered / max(one.cost.of, 1):.1f}"
        yield "–" if one.cost.deviation is None else f"{100 * one.cost.deviation:.1f}"
