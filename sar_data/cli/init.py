"""sar-data init"""

from __future__ import annotations

from pathlib import Path

import click

from sar_data.cli.choices import Existing
from sar_data.cli.console import say
from sar_data.errors import UsageError


@click.command("init", short_help="Look at a folder of your own and begin its dataset.toml.")
@click.argument("folder", metavar="DIR", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--code", metavar="NAME", help="Write a pipeline in Python instead, into DIR or ./NAME-sar.")
@click.pass_context
def command(ctx: click.Context, folder: Path | None, code: str | None) -> None:
    """Look at a folder of your own images and write DIR/dataset.toml: what is seen, guessed and asked; print its path.

    Counts, sizes, values and places are shown as evidence. What would be a silent guess, as the unit, is left to you. A
    dataset.toml that is there is never overwritten.

    With --code it writes a package with the pipeline of a dataset NAME, its generator and its test, which pass before
    the first edit. Once the package is installed, `build NAME` finds it.
    """
    from sar_data import catalog

    if code is not None:
        from sar_data.own.code import write

        folder = folder or Path(f"{code}-sar")
        for path in write(folder, code, catalog.names()):
            say(str(path))
        say(f"try it: cd {folder} && python -m pytest; install it: pip install -e {folder}; then: sar-data info {code}")
        click.echo(str(folder))
        return
    if folder is None:
        raise UsageError("expected the folder of your images, or --code NAME")
    from sar_data.own.template import init_declaration

    path = init_declaration(Existing().convert(folder, None, ctx), catalog.names())
    asked = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ASK")]
    for line in asked:
        say(line.removeprefix("# "))
    say(f"{len(asked)} questions wait in {path}; then: sar-data build {folder} --out builds")
    click.echo(str(path))
