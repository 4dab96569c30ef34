"""sar-data verify"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from sar_data.cli.choices import BuildPlace, DatasetName, ExistingPath, Share
from sar_data.cli.crew import crew, runner_options
from sar_data.cli.exits import FAILURE
from sar_data.errors import BuildError, UsageError


@click.command("verify", short_help="Check a sealed build against its manifest; list all problems.")
@click.argument("path", metavar="BUILD", type=BuildPlace())
@click.option("--full", is_flag=True, help="Read every byte: hashes of files and images, digest, statistics.")
@click.option("--sample", type=Share(), help="Read every byte of a share of the shards, such as 5%.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Which shards --sample draws.")
@click.option("--repair", is_flag=True, help="Rebuild what is broken, and nothing else.")
@click.option(
    "--source", type=ExistingPath(file=True), help="Of --repair: raw files, their archive, or a build like it."
)
@click.option("--dataset", type=DatasetName(), help="Of --repair: the dataset of raw files that are not recognised.")
@click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Of --repair: for work files."
)
@runner_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    path: str,
    full: bool,
    sample: float | None,
    seed: int,
    repair: bool,
    source: Path | None,
    dataset: str | None,
    work: Path | None,
    as_json: bool,
    **computing: Any,
) -> None:
    """Check a sealed build against its manifest; list all problems and exit with 1 if there is one.

    Quick by default: documents, names and sizes. --repair reads every byte and rebuilds the broken files beside the
    build, which is replaced in one step once all of it is proven. Where it cannot be repaired it stays as it was.
    """
    from sar_data.cli.meter import Meter
    from sar_data.sealed.opened import Build, layout_of
    from sar_data.sealed.verify import verify
    from sar_data.system.store import absolute, is_url

    try:
        size = layout_of(Build.open(path).manifest).image_bytes()
    except BuildError:
        size = 0  # verify reports the same error
    facts: dict[str, Any] = {"path": str(absolute(path))}
    if repair:
        if is_url(path):
            raise UsageError(f"{path}: --repair expected a folder, found an address: build again to the same place")
        from sar_data.builder.repair import RepairRequest
        from sar_data.builder.repair import repair as carry_out

        request = RepairRequest(path=Path(path), source=source, dataset=dataset, work=work)
        with crew(**computing) as runner, Meter(size) as meter:
            outcome = carry_out(request, runner, meter, meter.say)
        problems, extent = outcome.left, f"{len(outcome.files)} files were rebuilt; every byte was read"
        facts |= {"repaired": outcome.files}
    else:
        if given := [name for name, value in (("source", source), ("dataset", dataset), ("work", work)) if value]:
            raise UsageError(f"--{given[0]}: expected --repair with it, found none")
        reads = full or sample is not None
        with crew(**computing, needed=reads) as runner, Meter(size) as meter:
            problems = verify(path, full=full, sample=sample, seed=seed, runner=runner, progress=meter)
        part = "every byte was read" if full else f"{sample:.4g} of the shards were read" if sample else ""
        extent = part or "quick: documents, names and sizes; --full reads every byte"
        facts |= {"full": full, "sample": sample}
    if as_json:
        rows = [dataclasses.asdict(problem) for problem in problems]
        click.echo(json.dumps({**facts, "sound": not problems, "problems": rows}, indent=1, ensure_ascii=False))
    else:
        for line in [*(f"rebuilt {name}" for name in facts.get("repaired", ())), *map(str, problems)]:
            click.echo(line)
        verdict = f"{len(problems)} problems" if problems else "sound"
        click.echo(f"{path}: {verdict} ({extent})", err=bool(problems))
    if problems:
        ctx.exit(FAILURE)
