"""sar-data info"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click

from sar_data.cli.choices import DatasetName
from sar_data.cli.console import line
from sar_data.spec import EVIDENCE, sample_shape

Line = tuple[str, str]
"""A head, and a text that goes on below its own beginning."""
CORRECTED = {True: ", terrain-corrected", False: ", not terrain-corrected", None: ""}


@click.command("info", short_help="Show the facts of a dataset.")
@click.argument("name", type=DatasetName())
@click.option("--tree", is_flag=True, help="Print only the published tree and the known layouts of copies.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, tree: bool, as_json: bool) -> None:
    """Show the facts of a dataset: sources, licence, layout, classes, splits."""
    from sar_data import catalog

    facts = catalog.info(name, tree=tree)
    if as_json:
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    for part in (_tree,) if tree else (_head, _sources, _tasks, _choices):
        for head, text in part(facts):
            line(head, text)


def _tree(facts: dict[str, Any]) -> Iterator[Line]:
    yield "as published, in a miniature", ""
    yield from ((f"  {name}", "") for name in facts["tree"])
    for layout, paths in facts["layouts"].items():
        yield f"\nas {layout}", ""
        yield from ((f"  {path}", "") for path in paths)


def _about(text: str) -> Iterator[Line]:
    """Yield the paragraphs and list items of a layout text, each as one line."""
    for part in re.split(r"\n(?=- |\n)", text):
        if part.startswith("\n"):
            yield "", ""
        words = " ".join(part.split())
        yield ("- ", words[2:]) if words.startswith("- ") else ("", words)


def _head(facts: dict[str, Any]) -> Iterator[Line]:
    yield "", f"{facts['title']}  ({facts['name']} {facts['version']})"
    yield "", ""
    yield from _about(facts["layout"])
    yield "", ""
    shape = sample_shape(facts["frames"], len(facts["bands"]), facts["shape"])
    pixel = f", pixels of {facts['pixel_size_m']:g} m" if facts["pixel_size_m"] else ""
    bands = (f"{band['name']} ({band['description']}, {band['unit']})" for band in facts["bands"])
    corrected = CORRECTED[facts["terrain_corrected"]]
    for title, value in {
        "aliases": ", ".join(facts["aliases"]) or "none",
        "sample": f"{shape} {facts['dtype']}{pixel}",
        "bands": "as declared" if facts["evidence"] == "declared" else ", ".join(bands),
        "radiometry": f"{facts['calibration']}{corrected}; range axis {facts['range_axis']}",
        "processing": _processing(facts["processing"] or {}),
        "symmetry": ", ".join(facts["symmetries"]) or "none",
        "evidence": f"{facts['evidence']}: {EVIDENCE[facts['evidence']]}",
        "licence": facts["licence"],
        "citation": facts["citation"],
    }.items():
        yield f"{title:10} ", value


def _processing(stated: dict[str, Any]) -> str:
    """Return the known steps of the publisher's processing, and the unknown ones."""
    words = {name.replace("_", " "): value for name, value in stated.items() if name != "source"}
    known = ", ".join(f"{name} {value}" for name, value in words.items() if value not in ("unknown", None))
    unknown = ", ".join(name for name, value in words.items() if value in ("unknown", None))
    parts = [f"{known} ({stated['source']})" if known else "", f"not known: {unknown}" if unknown else ""]
    return "; ".join(filter(None, parts)) if stated else "not stated"


def _sources(facts: dict[str, Any]) -> Iterator[Line]:
    yield "\nsources", ""
    for source in facts["sources"]:
        yield f"  {source['name']}{'  (official list)' if source['name'] in facts['lists'] else ''}", ""
        manual = source["manual"] and f"by hand: {source['manual']}"
        yield from (("    ", text) for text in (source["url"], source["checksum"], manual, source["note"]) if text)


def _tasks(facts: dict[str, Any]) -> Iterator[Line]:
    for task in facts["tasks"]:
        yield f"\n{task['name']}: {task['kind']}, {len(task['classes'])} classes", ""
        yield from ((f"  {i:3} ", label) for i, label in enumerate(task["classes"]))


def _choices(facts: dict[str, Any]) -> Iterator[Line]:
    for variant, title in facts["variants"].items():
        yield "", ""
        yield f"variant {variant}: ", title
    yield "", ""
    if facts["evidence"] == "declared":
        yield "splits: ", "folders, lists or column, where the data declare one; stratified, random, group and blocks"
        return
    yield "splits ", "(the first is the default; --split NAME:parameter=value,… changes parameters)"
    for split, parameters in facts["splits"].items():
        yield f"  {split:11} ", ", ".join(f"{key}={_brief(value)}" for key, value in parameters.items())


def _brief(value: Any) -> str:
    if isinstance(value, (tuple, list)) and all(isinstance(item, (tuple, list)) for item in value):
        value = dict(value)
    return "; ".join(f"{k} → {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
