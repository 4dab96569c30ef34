"""sar-data init"""

from __future__ import annotations

from pathlib import Path

import click

from sar_data.cli.choices import ExistingPath
from sar_data.cli.console import say
from sar_data.errors import UsageError


@click.command("init", short_help="Survey a folder of your own images and write its dataset.toml.")
@click.argument("folder", metavar="DIR", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--code", metavar="NAME", help="Write a pipeline in Python instead, into DIR or ./NAME-sar.")
@click.pass_context
def command(ctx: click.Context, folder: Path | None, code: str | None) -> None:
    """Survey a folder of your own images and write DIR/dataset.toml: facts, guesses and questions; print its path.

    Counts, sizes, values and places are the evidence. The file asks you for each fact that cannot be seen, such as
    the unit. An existing dataset.toml is never overwritten.

    With --code it writes a package with the pipeline of a dataset NAME, its generator and its test. The test
    passes before the first edit. Once the package is installed, `build NAME` finds it.
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

    path = init_declaration(ExistingPath().convert(folder, None, ctx), catalog.names())
    questions = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ASK")]
    for line in questions:
        say(line.removeprefix("# "))
    say(f"{len(questions)} questions to answer in {path}; then: sar-data build {folder} --out builds")
    click.echo(str(path))
