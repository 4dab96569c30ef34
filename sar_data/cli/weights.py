"""sar-data train weights"""

from __future__ import annotations

import json
from typing import Any

import click

from sar_data.cli.console import line


@click.command("weights", short_help="List published weights: licence, bands, unit, where they are.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the families of published weights that are known, or show all that is known of one.

    Files are given to `--weights`; where a person must fetch them, `steps` says how.
    """
    from sar_data.train.families import families, family

    rows = [entry.to_json() for entry in ([family(name)] if name else families().values())]
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    elif name:
        for field, value in rows[0].items():
            if text := _text(value):
                line(f"{field:<20}", text)
    else:
        width = max(len(row["name"]) for row in rows) + 2
        for row in sorted(rows, key=lambda row: not row["loads"]):
            line(f"{row['name']:<{width}}", "; ".join(filter(None, _cells(row))))


def _cells(row: dict[str, Any]) -> list[str]:
    """Return what a family is, its bands and unit, its licence, and that it does not load."""
    bands = " ".join(filter(None, (*dict.fromkeys(row["bands"]), row["unit"] and f"in {row['unit']}")))
    licence = f"{row['licence']} (no {row['forbids']})" if row["forbids"] else f"licence {row['licence']}"
    return [row["is"], bands, licence, "" if row["loads"] else "does not load"]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{key} {text}" for key, text in value.items())
    return value if isinstance(value, str) else ", ".join(value)
