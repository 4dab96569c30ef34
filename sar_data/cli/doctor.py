"""sar-data doctor"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from sar_data.cli.console import paragraph
from sar_data.cli.exits import FAILURE
from sar_data.cli.words import render


@click.command("doctor", short_help="Check this machine; list what is missing and how to get it.")
@click.option("--out", type=click.Path(path_type=Path), default=".", help="Folder for builds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, /, out: Path, as_json: bool) -> None:
    """Check this machine; list what is missing and how to get it; exit with 1 if there is a fault.

    Versions, disk, memory, limits, threads, GPU, servers, caches; of credentials only whether they exist. A note
    needs no action.
    """
    from sar_data.checkup import doctor

    findings = doctor(out)
    faults = sum(finding.state == "fault" for finding in findings)
    if as_json:
        facts = {"sound": not faults, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            click.echo(paragraph(f"{finding.state:<5}  {finding.what:<{width}}  ", finding.text))
            if finding.remedy:
                click.echo(paragraph(" " * (width + 9) + "→ ", render(finding.remedy)))
    ctx.exit(FAILURE if faults else 0)
