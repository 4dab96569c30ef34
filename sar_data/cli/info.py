"""sar-data info"""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any

import click

from sar_data.cli.choices import DatasetName
from sar_data.spec import EVIDENCE, sample_shape


@click.command("info", short_help="Show all that is known of a dataset.")
@click.argument("name", type=DatasetName())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, as_json: bool) -> None:
    """Show all that is known of a dataset: sources, licence, layout, classes, splits."""
    from importlib import import_module

    from sar_data import catalog

    pipeline = catalog.pipeline(name)
    spec = pipeline.spec
    facts: dict[str, Any] = dataclasses.asdict(spec)
    facts["splits"] = {
        split: dataclasses.asdict(policy) if dataclasses.is_dataclass(policy) and not isinstance(policy, type) else {}
        for split, policy in pipeline.splits.items()
    }
    facts["variants"] = {variant: other.spec.title for variant, other in pipeline.variants.items()}
    facts["layout"] = inspect.cleandoc(import_module(catalog.module_of(name)).__doc__ or "")
    if as_json:
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    click.echo(f"{spec.title}  ({spec.name} {spec.version})\n\n{facts['layout']}\n")
    shape = sample_shape(spec.frames, len(spec.bands), spec.shape)
    pixel = f", pixels of {spec.pixel_size_m:g} m" if spec.pixel_size_m else ""
    corrected = {True: ", terrain-corrected", False: ", not terrain-corrected", None: ""}[spec.terrain_corrected]
    bands = ", ".join(f"{band.name} ({band.description}, {band.unit})" for band in spec.bands)
    for title, value in {
        "sample": f"{shape} {spec.dtype}{pixel}",
        "bands": bands,
        "radiometry": f"{spec.calibration}{corrected}; range axis {spec.range_axis}",
        "symmetry": ", ".join(spec.symmetries) or "none",
        "evidence": f"{spec.evidence}: {EVIDENCE[spec.evidence]}",
        "licence": spec.licence,
        "citation": spec.citation,
    }.items():
        click.echo(f"{title:10} {value}")
    click.echo("\nsources")
    for source in spec.sources:
        click.echo(f"  {source.name}{'  (official list)' if source.name in spec.lists else ''}\n    {source.url}")
        manual = source.manual and f"by hand: {source.manual}"
        click.echo("".join(f"    {line}\n" for line in (source.checksum, manual, source.note) if line), nl=False)
    for task in spec.tasks:
        click.echo(f"\n{task.name}: {task.kind}, {len(task.classes)} classes")
        click.echo("".join(f"  {i:3} {label}\n" for i, label in enumerate(task.classes)), nl=False)
    for variant, title in facts["variants"].items():
        click.echo(f"\nvariant {variant}: {title}")
    click.echo("\nsplits (the first is the default; --split NAME:parameter=value,… changes parameters)")
    for split, parameters in facts["splits"].items():
        click.echo(f"  {split:11} {', '.join(f'{key}={_brief(value)}' for key, value in parameters.items())}".rstrip())


def _brief(value: Any) -> str:
    if isinstance(value, (tuple, list)) and all(isinstance(item, (tuple, list)) for item in value):
        value = dict(value)
    return "; ".join(f"{k} → {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
