"""sar-data diff"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sar_data.cli.choices import BuildFolder
from sar_data.cli.console import line
from sar_data.cli.crew import crew, runner_options
from sar_data.cli.exits import FAILURE


@click.command("diff", short_help="List what differs between two sealed builds.")
@click.argument("path", metavar="BUILD", type=BuildFolder())
@click.argument("other", metavar="OTHER", type=BuildFolder())
@click.option("--full", is_flag=True, help="Read all pixels, not only those whose recorded hashes differ.")
@runner_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, /, path: Path, other: Path, full: bool, as_json: bool, **computing: Any) -> None:
    """List what differs between two sealed builds, one difference a line; exit with 1 if there is one.

    Compared are recipes, statistics, keys, splits, labels, objects and what else is known of a sample, and pixels to
    one unit in the last place. Containers, shards and the order of samples are no difference. Where one build was baked
    further than the other, pixels are compared after the same steps.
    """
    from sar_data.builder.diff import diff
    from sar_data.cli.meter import Meter

    with crew(**computing) as runner, Meter() as meter:
        comparison = diff(path, other, full=full, runner=runner, progress=meter)
    if as_json:
        places = {"path": str(path.absolute()), "other": str(other.absolute())}
        click.echo(json.dumps({**places, **comparison.document()}, indent=1, ensure_ascii=False))
    else:
        for difference in comparison.differences:
            click.echo(str(difference))
        for note in comparison.notes:
            line("note: ", note, err=True)
        count = len(comparison.differences)
        click.echo(f"{path} and {other}: {f'{count:,} differences' if count else 'equal'}", err=bool(count))
    if comparison.differences:
        ctx.exit(FAILURE)
