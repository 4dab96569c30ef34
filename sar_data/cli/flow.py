"""sar-data flow: start a deployed flow by its bare name."""

from __future__ import annotations

import click

from sar_data.cli.console import say
from sar_data.cli.stop import Note
from sar_data.cli.tree import Group
from sar_data.cli.words import spell
from sar_data.errors import missing_extra


@click.group("flow", cls=Group, short_help="Start a deployed Prefect flow by its bare name.")
def command() -> None:
    """Start deployed flows on a Prefect server."""


@command.command("run", short_help="Start a deployed flow by its bare name.")
@click.argument("name")
@click.option("parameters", "-p", "--param", multiple=True, metavar="KEY=VALUE", help="A parameter of the flow.")
@click.option("--watch/--no-watch", default=False, help="Follow the run to its end; fail unless it completes.")
@click.pass_obj
def run(note: Note, name: str, parameters: tuple[str, ...], watch: bool) -> None:
    """Start the deployed flow NAME (or FLOW/NAME) on a Prefect server.

    With --watch the last line is the sealed build's path, otherwise the address of the run.
    """
    try:
        from flows.run import run as start
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "prefect":
            raise
        raise missing_extra("prefect", "flows") from error
    note.describe_kept = lambda: "a started run continues; prefect flow-run cancel ends it"
    click.echo(start(name, [_spell_key(text) for text in parameters], watch=watch, say=say))


def _spell_key(parameter: str) -> str:
    """Return KEY=VALUE with a key as this version spells it."""
    key, equals, value = parameter.partition("=")
    return f"{spell(key).replace('-', '_')}{equals}{value}"
