"""sar-data bench"""

from __future__ import annotations

import dataclasses
import json

import click

from sar_data.cli.choices import BuildPlace, SplitName


@click.command("bench", short_help="Measure how fast a build streams on this machine.")
@click.argument("path", type=BuildPlace(), metavar="BUILD")
@click.option(
    "--split", type=SplitName(), default="train", show_default=True, metavar="NAME", help="train, val or test."
)
@click.option("--batch-size", type=click.IntRange(min=1), default=256, show_default=True, metavar="N")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, metavar="N")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, metavar="N", help="Take medians.")
@click.option(
    "--step-ms",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="MS",
    help="Duration of a training step, for the share of time waiting.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(path: str, split: str, batch_size: int, threads: int, rounds: int, step_ms: float, as_json: bool) -> None:
    """Measure how fast a build (a folder, or a URL) streams on this machine: normalized float32 batches, shuffled.

    The reference is a memory map of some of the same samples, gathered and normalized by numpy in one thread.
    """
    from sar_data.stream.dataset import Stream
    from sar_data.stream.throughput import gauge

    def open_stream() -> Stream:
        return Stream(path, split=split, batch_size=batch_size, shuffle=True, threads=threads)

    speed = gauge(open_stream, rounds=rounds, step_s=step_ms / 1000)
    ratio, rate = speed.rate / speed.reference, speed.rate * speed.sample_bytes / 1e6
    if as_json:
        click.echo(json.dumps({"path": path, **dataclasses.asdict(speed), "ratio": ratio}, indent=1))
        return
    for line in (
        f"{speed.rate:11,.0f} samples/s, {rate:,.0f} MB/s as stored; {threads} threads, batches of {batch_size}",
        f"{ratio:11.2f} of the reference in this run, {speed.reference:,.0f} samples/s",
        f"{speed.first_batch_s:11.3f} s to the first batch, opening included",
        f"{speed.waiting:11.1%} of the time waiting, if a step takes {step_ms:g} ms",
    ):
        click.echo(line)
