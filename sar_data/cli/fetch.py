"""sar-data fetch"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sar_data.cli.choices import DatasetName
from sar_data.cli.console import say
from sar_data.cli.exits import BY_HAND, FAILURE
from sar_data.cli.stop import Note

if TYPE_CHECKING:
    from sar_data.download.fetch import FetchResult
    from sar_data.download.plan import FetchPlan
    from sar_data.spec import DatasetSpec


@click.command("fetch", short_help="Download a dataset's sources, verify them, list files to get by hand.")
@click.argument("name", type=DatasetName())
@click.option("--variant", metavar="NAME", help="Another form of the dataset; `info` lists them.")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder.  [default: raw/NAME, raw/NAME-VARIANT]",
)
@click.option("--mirror", metavar="URL", help="URL of a folder that has the files, used instead of the publisher.")
@click.option("--only", multiple=True, metavar="PART", help="Sources whose name is PART or matches it (*); repeatable.")
@click.option("--accept-licence", "--accept-license", is_flag=True, help="Accept the dataset's licence.")
@click.option("--plan", is_flag=True, help="Fetch nothing: print each file, its size if published, and the disk.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the next command.")
def command(
    name: str,
    variant: str | None,
    folder: Path | None,
    mirror: str | None,
    only: tuple[str, ...],
    accept_licence: bool,
    plan: bool,
    as_json: bool,
) -> None:
    """Download a dataset's sources and verify them; print the command that builds from them.

    A download that was interrupted continues where it ended, also days later. Files that you must get by hand are
    listed with their address and their place here, and verified once they are there. sources.json has all checksums.

    If a server sends fewer than 1,000 bytes a second for a minute, the download connects again and continues. A file
    whose checksum differs from the published one is kept as NAME.rejected, and never used.

    The exit code is 0 if all files are there and verified, 1 if one failed, 3 if only files to get by hand are missing.

    A login that a host requires comes from ~/.netrc (or $NETRC), from SAR_DATA_TOKEN_HOST, from SAR_DATA_USER_HOST
    and SAR_DATA_PASSWORD_HOST (HOST in capitals with _ for dots), or from the system's keyring.
    """
    from sar_data import catalog
    from sar_data.cli.listing import listing
    from sar_data.cli.transfers import Transfers
    from sar_data.download.fetch import check_licence, fetch_as_user, folder_of, needs_acceptance, select_sources
    from sar_data.download.plan import plan_sources

    spec = catalog.pipeline(name, variant).spec
    sources = select_sources(spec, only)
    folder = (folder or folder_of(catalog.pipeline(name).spec, spec)).absolute()
    if plan:
        _print_plan(plan_sources(sources, folder), as_json=as_json)
        return
    for line in listing(spec, sources, folder):
        say(line)
    if needs_acceptance(spec, sources):
        check_licence(spec, sources, accept_licence or _ask_acceptance(spec))
    ctx = click.get_current_context()
    note: Note = ctx.obj
    note.describe_kept = lambda: f"the part that has arrived is kept in {folder}; the same command continues from there"
    with Transfers() as meter:
        outcomes = fetch_as_user(sources, folder, mirror=mirror, progress=meter, say=meter.say)
    _report(outcomes, folder)
    _print_next(spec, folder, outcomes, as_json=as_json)
    states = {outcome.state for outcome in outcomes}
    ctx.exit(FAILURE if "failed" in states else BY_HAND if "missing" in states else 0)


def _print_plan(plan: FetchPlan, *, as_json: bool) -> None:
    from sar_data.cli.listing import plan_lines

    click.echo(json.dumps(plan.document(), indent=1, ensure_ascii=False) if as_json else "\n".join(plan_lines(plan)))


def _ask_acceptance(spec: DatasetSpec) -> bool:
    """Ask whether the user accepts the licence, where stdin is a terminal."""
    question = f"The data come under {spec.licence or 'no stated licence'}. Do you accept this?"
    return sys.stdin.isatty() and click.confirm(question, err=True)


def _report(outcomes: Iterable[FetchResult], folder: Path) -> None:
    for outcome in outcomes:
        name = outcome.source.file
        if outcome.file:
            what = "fetched" if outcome.state == "fetched" else "was there"
            how = "as published" if outcome.kind == "published" else "observed, none is published"
            say(f"{name}: {what}, {outcome.file.bytes:,} bytes, {outcome.file.checksum} ({how})")
        elif outcome.there:
            say(f"{name}: was there, {outcome.message}")
        elif outcome.state == "missing":
            say(f"{name}: missing. {outcome.message}: {outcome.source.url}")
            say(f"  put it at {folder / name} and run the same command again, which verifies it")
        else:
            say(f"{name}: failed. {outcome.message}")


def _print_next(spec: DatasetSpec, folder: Path, outcomes: Sequence[FetchResult], *, as_json: bool) -> None:
    """Print the command that builds from the files, once all are there."""
    form = ["--variant", spec.variant] if spec.variant else []
    next_command = shlex.join(["sar-data", "build", spec.name, *form, "--source", str(folder), "--out", "builds"])
    if as_json:
        click.echo(json.dumps(_facts(spec, folder, outcomes, next_command), indent=1, ensure_ascii=False))
    elif all(outcome.there for outcome in outcomes):
        click.echo(next_command)


def _facts(spec: DatasetSpec, folder: Path, outcomes: Sequence[FetchResult], next_command: str) -> dict[str, Any]:
    rows = [
        {
            "name": outcome.source.file,
            "state": outcome.state,
            "url": outcome.source.url,
            "bytes": outcome.file and outcome.file.bytes,
            "checksum": outcome.file.checksum if outcome.file else outcome.source.checksum,
            "kind": outcome.kind if outcome.file else None,
            "message": outcome.message,
        }
        for outcome in outcomes
    ]
    whole = all(outcome.there for outcome in outcomes)
    return {
        "dataset": spec.name,
        "folder": str(folder),
        "licence": spec.licence,
        "sources": rows,
        "next": next_command if whole else None,
    }
