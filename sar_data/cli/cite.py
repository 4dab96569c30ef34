"""sar-data cite"""

from __future__ import annotations

import json
from pathlib import Path

import click

from sar_data.cli.choices import BuildOrRun
from sar_data.cli.console import paragraph


@click.command("cite", short_help="Say what a paper says of a build or a run: methods and BibTeX.")
@click.argument("path", metavar="BUILD|RUN", type=BuildOrRun())
@click.option("--latex", is_flag=True, help="Print the paragraph as LaTeX sets it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(path: Path, latex: bool, as_json: bool) -> None:
    """Say what a paper says of a build or a run: a paragraph of methods, and BibTeX.

    Data, version, split, leakage, statistics and digest of a build; of a run also model, weights, options, seed and
    figures. All of it is read from the sealed documents.
    """
    from sar_data.methods import cite

    found = cite(path)
    if as_json:
        facts = {"path": str(path.absolute()), "methods": found.plain, "latex": found.latex, "bibtex": found.bibtex}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    click.echo(f"{paragraph('', found.latex if latex else found.plain)}\n\n{found.bibtex}")
