"""The tables of `build --plan`: what the build would come to, and a line a split with its leakage and its cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from sar_data.cli.console import console, line

if TYPE_CHECKING:
    from sar_data.builder.outlook import Outlook
    from sar_data.builder.request import BuildRequest
    from sar_data.builder.splits import SplitOutlook
    from sar_data.runners import Runner

SHOWN = {"touching": "touch", "identical": "ground", "place": "place", "group": "group"}
"""Figure of leakage → its column."""
MOST = 5  # classes whose shares are shown; JSON has all


def print_outlook(request: BuildRequest, split: str | None, runner: Runner, *, as_json: bool) -> None:
    """Print what a build would come to, and counts, leakage and cost of several splits of its source."""
    from sar_data.builder.outlook import outlook
    from sar_data.cli.meter import Meter

    with Meter() as meter:
        planned = outlook(request, split, runner, meter, meter.say)
    if as_json:
        click.echo(json.dumps(planned.document(), indent=1, ensure_ascii=False))
        return
    for name, value in _lines(planned):
        line(f"  {name:8} ", value)
    _print_splits(planned.splits)


def _lines(planned: Outlook) -> Iterator[tuple[str, str]]:
    from rich.filesize import decimal

    lost = f", {planned.quarantined:,} quarantined" if planned.quarantined else ""
    yield "records", f"{planned.records:,}{lost}"
    for build in planned.builds:
        what = f"{build.format}, baked" if build.baked else build.format
        yield "build", f"{what}: {build.shards:,} shards, {decimal(build.bytes)}"
    yield "reads", f"{decimal(planned.read_bytes)} of files"
    yield "writes", decimal(planned.written_bytes)
    yield (
        "disk",
        (
            f"{decimal(planned.needed_bytes)} needed, {decimal(planned.free_bytes)} free; "
            f"{decimal(planned.peak_disk_bytes)} at most, with the source"
        ),
    )
    yield "memory", f"{decimal(planned.memory_bytes)} at least"
    yield (
        "time",
        f"about {planned.minutes:,.0f} minutes" if planned.minutes >= 2 else f"about {planned.minutes * 60:.0f} s",
    )
    yield from (("missing", sentence) for sentence in planned.missing)


def _print_splits(splits: Sequence[SplitOutlook]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("split", "train", "val", "test", "unused", *SHOWN.values(), "buffers", "classes"):
        table.add_column(name, justify="left" if name == "split" else "right")
    for outlook in splits:
        if not outlook.failure:
            table.add_row(*_cells(outlook))
    console().print(table)
    click.echo(
        "touch, ground, place, group: % of test that touch train, show its ground, are of its place or group; "
        "– is not known\nbuffers: % of samples left out; classes: largest deviation of a share, in points"
    )
    if len(splits) == 1:
        _print_shares(splits[0])


def _print_shares(outlook: SplitOutlook) -> None:
    """Print the shares of the classes in each split, the most common ones."""
    shares = {split: dict(part) for split, part in outlook.class_shares.items() if outlook.counts[split]}
    classes = sorted(shares.get("train", {}), key=lambda name: -shares["train"][name])
    for name in classes[:MOST]:
        line("  ", f"{name}: " + ", ".join(f"{split} {100 * part[name]:.1f} %" for split, part in shares.items()))
    if len(classes) > MOST:
        line("  ", f"and {len(classes) - MOST} more classes")


def _cells(outlook: SplitOutlook) -> Iterator[str]:
    yield outlook.split
    yield from (f"{count:,}" for count in outlook.counts.values())
    for name in SHOWN:
        value = outlook.leakage[name].value
        yield "–" if value is None else f"{100 * value:.1f}"
    if outlook.cost is not None:
        yield f"{100 * outlook.cost.buffered / max(outlook.cost.of, 1):.1f}"
        yield "–" if outlook.cost.deviation is None else f"{100 * outlook.cost.deviation:.1f}"
