"""The artifacts of a build or a run: a table of its figures and a page of its facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sar_data.reports import summary
from sar_data.sealed.documents import DomainStatistics, SplitStatistics
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from sar_data.text import markdown

CONFIG = "config.json"  # of a run: its options
FIGURES = ("mean", "std", "min", "max")
DIGITS = 5  # of a figure in a table; the manifest has all


def statistics_rows(statistics: Mapping[str, SplitStatistics]) -> list[dict[str, Any]]:
    """Return one row a split, band and domain."""
    return [
        {"split": split, "band": name, "domain": domain.unit, **_figures(domain), "count": domain.count}
        for split, document in statistics.items()
        for name, band in document.bands.items()
        for domain in (band.stored, band.db, band.power)
        if domain is not None
    ]


def page(build: Build) -> str:
    """Return the first answers of the build's report as Markdown, with histograms and some samples."""
    manifest = build.manifest
    facts = {
        **summary.answers(build),
        "Quarantined": str(len(manifest.quarantine)),
        "Content digest": f"`{manifest.content_digest}`",
        "Recipe digest": f"`{manifest.recipe_digest}`",
        **_parent(manifest),
    }
    return f"{_page(manifest.title, _place(build), facts)}\n{summary.pictures(build)}\n"


def verification_page(build: Build, full: bool, sample: float | None = None) -> str:
    """Return the facts of a successful verification, as Markdown."""
    part = f"every byte of {sample:.4g} of the shards" if sample else "documents, names and sizes"
    facts = {
        "verdict": "sound",
        "read": "every byte" if full else part,
        "content digest": f"`{build.manifest.content_digest}`",
        "recipe digest": f"`{build.manifest.recipe_digest}`",
    }
    return _page(build.manifest.title, _place(build), facts)


def digests(build: Build) -> dict[str, Any]:
    """Return the result of a flow: the build's path, its digests, and its parent's name and digests."""
    manifest = build.manifest
    return {
        "path": str(build.place),
        "content_digest": manifest.content_digest,
        "recipe_digest": manifest.recipe_digest,
        "parent": manifest.parent and manifest.parent.model_dump(),
    }


def build_documents(build: Build) -> list[tuple[str, dict[str, Any]]]:
    """Return "parent" and "sealed" with path and digests of these builds; the requested build comes last."""
    document = digests(build)
    parent = document.pop("parent")
    return [*([("parent", parent)] if parent else []), ("sealed", document)]


def metric_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row a split and metric of a run, with its 95 % interval where there is one."""
    rows = []
    for split, figures in metrics.items():
        if not isinstance(figures, Mapping):  # a figure of the run as a whole
            continue
        intervals = figures.get("intervals", {})
        for name, value in figures.items():
            if isinstance(value, float):
                low, high = intervals.get(name) or (None, None)
                rows.append({"split": split, "metric": name, "value": value, "low": low, "high": high})
    return rows


def configuration(run: Path) -> dict[str, Any]:
    """Return the options of a run."""
    document: dict[str, Any] = json.loads((run / CONFIG).read_bytes())
    return document


def run_page(run: Path, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Return the options and the results of a run, as Markdown."""
    facts = {
        "job": config["job"],
        "preset": config["preset"] or "none",
        "model": config["settings"]["model"],
        "build": f"`{config['build']['path']}`",
        "content digest": f"`{config['build']['content_digest']}`",
        **{
            f"{row['split']} {row['metric']}": f"{row['value']:.4f}"
            + (f" ({row['low']:.4f} to {row['high']:.4f})" if row["low"] is not None else "")
            for row in metric_rows(metrics)
        },
    }
    return _page(run.name, f"`{run}`", facts)


def _page(title: str, place: str, facts: Mapping[str, str]) -> str:
    lines = "".join(f"- **{name}**: {value}\n" for name, value in facts.items() if value)
    return f"# {markdown(title)}\n\n{place}\n\n{lines}"


def _place(build: Build) -> str:
    manifest = build.manifest
    return f"{markdown(f'{manifest.dataset} {manifest.version}')}, {manifest.format}\n\n`{build.place}`"


def _figures(domain: DomainStatistics) -> dict[str, float | None]:
    figures = {name: getattr(domain, name) for name in FIGURES}
    return {name: None if value is None else float(f"{value:.{DIGITS}g}") for name, value in figures.items()}


def _parent(manifest: Manifest) -> dict[str, str]:
    parent = manifest.parent
    if parent is None:
        return {}
    return {
        "baked": ", ".join(step.step for step in manifest.applied) or "nothing",
        "parent": f"{markdown(parent.path)}, content digest `{parent.content_digest}`, "
        f"recipe digest `{parent.recipe_digest}`",
    }
