"""sar-data verify"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from sar_data.cli.choices import BuildFolder
from sar_data.cli.crew import crew, runner_options
from sar_data.errors import BuildError


@click.command("verify", short_help="Check a sealed build against its manifest; list all problems.")
@click.argument("path", metavar="BUILD", type=BuildFolder())
@click.option("--full", is_flag=True, help="Read every byte: hashes of files and images, digest, statistics.")
@runner_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, /, path: Path, full: bool, as_json: bool, **computing: Any) -> None:
    """Check a sealed build against its manifest; list all problems and exit with 1 if there is one.

    Quick by default: documents, names and sizes.
    """
    from sar_data.cli.meter import Meter
    from sar_data.sealed.opened import Build, layout_of
    from sar_data.sealed.verify import verify

    try:
        size = layout_of(Build.open(path).manifest).image_bytes()
    except BuildError:
        size = 0  # verify reports the same error
    with crew(**computing, needed=full) as runner, Meter(size) as meter:
        problems = verify(path, full=full, runner=runner, progress=meter)
    if as_json:
        rows = [dataclasses.asdict(problem) for problem in problems]
        facts = {"path": str(path.absolute()), "full": full, "sound": not problems, "problems": rows}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(str(problem))
        how = "every byte was read" if full else "quick: documents, names and sizes; --full reads every byte"
        verdict = f"{len(problems)} problems" if problems else "sound"
        click.echo(f"{path}: {verdict} ({how})", err=bool(problems))
    if problems:
        ctx.exit(1)
