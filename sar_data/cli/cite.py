"""sar-data cite"""

from __future__ import annotations

import json
from pathlib import Path

import click

from sar_data.cli.choices import BuildOrRun
from sar_data.cli.console import paragraph


@click.command("cite", short_help="Print the paragraph of methods and the BibTeX for a build or a run.")
@click.argument("path", metavar="BUILD|RUN", type=BuildOrRun())
@click.option("--latex", is_flag=True, help="Print the paragraph as LaTeX.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(path: Path, latex: bool, as_json: bool) -> None:
    """Print the paragraph of methods and the BibTeX entries for a paper that uses a build or a run.

    Data, version, split, leakage, statistics and digest of a build; of a run also model, weights, options, seed and
    figures. All facts come from the sealed documents.
    """
    from sar_data.methods import cite

    citation = cite(path)
    if as_json:
        facts = {
            "path": str(path.absolute()),
            "methods": citation.plain,
            "latex": citation.latex,
            "bibtex": citation.bibtex,
        }
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    click.echo(f"{paragraph('', citation.latex if latex else citation.plain)}\n\n{citation.bibtex}")
