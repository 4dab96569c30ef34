"""sar-data run: start a deployed flow by its bare name."""

from __future__ import annotations

import click

from sar_data.cli.stop import Note
from sar_data.errors import missing_extra


@click.command("run")
@click.argument("name")
@click.option("parameters", "-p", "--param", multiple=True, metavar="KEY=VALUE", help="A parameter of the flow.")
@click.option("--watch/--no-watch", default=False, help="Follow the run to its end; fail unless it completes.")
@click.pass_obj
def command(note: Note, name: str, parameters: tuple[str, ...], watch: bool) -> None:
    """Start the deployed flow NAME (or FLOW/NAME) on a Prefect server.

    With --watch the last line is the sealed build's path, otherwise where to look at the run.
    """
    try:
        from flows.run import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "prefect":
            raise
        raise missing_extra("prefect", "flows") from error
    note.kept = lambda: "a run that was started goes on; prefect flow-run cancel ends it"
    click.echo(run(name, parameters, watch=watch, say=lambda line: click.echo(line, err=True)))
