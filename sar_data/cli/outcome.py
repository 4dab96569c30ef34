"""What a command says of a build that it made or found: a summary on stderr, path or JSON on stdout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sar_data.spec import EVIDENCE, sample_shape
from sar_data.split.policy import SPLITS

if TYPE_CHECKING:
    from sar_data.sealed.manifest import Manifest
    from sar_data.sealed.opened import Build

OF_BAKING = ("stored", "baked", "clipped", "train")
MOST = 3  # quarantined records named in the summary; the manifest has them all


def said(
    build: Build,
    *,
    reused: bool,
    as_json: bool = False,
    last: bool = True,
    parent: Path | None = None,
    brief: bool = False,
) -> None:
    """Say what a build is; `last` ends with its path, or its JSON, on stdout; `brief` says what baking changed."""
    manifest = build.manifest
    click.echo(f"\n{build.path}: {'sealed already, nothing to do' if reused else 'sealed'}", err=True)
    for name, value in _lines(manifest, reused):
        if brief and name not in OF_BAKING:
            continue
        click.echo(f"  {name:12} {value}", err=True)
    if not last:
        return
    if as_json:
        facts = {
            "path": str(build.path),
            "reused": reused,
            "parent": parent and str(parent),
            "dataset": manifest.dataset,
            "version": manifest.version,
            "format": manifest.format,
            "content_digest": manifest.content_digest,
            "recipe_digest": manifest.recipe_digest,
            "counts": {split: manifest.splits[split].count for split in SPLITS},
            "unused": manifest.unused,
            "quarantined": len(manifest.quarantine),
            "split": manifest.split_policy.policy,
            "seed": manifest.split_policy.seed,
            "leakage": manifest.split_policy.leakage,
        }
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        click.echo(str(build.path))


def _lines(manifest: Manifest, reused: bool) -> Iterator[tuple[str, str]]:
    counts = {split: manifest.splits[split].count for split in SPLITS}
    unused, bad = sum(manifest.unused.values()), len(manifest.quarantine)
    found = ", ".join(f"{name} {n:,}" for name, n in {**counts, "unused": unused, "quarantined": bad}.items())
    dtype = manifest.storage.dtype
    shape = sample_shape(manifest.frames, len(manifest.bands), manifest.shape)
    variant = f", {manifest.variant}" if manifest.variant else ""
    yield "dataset", f"{manifest.title} ({manifest.dataset} {manifest.version}{variant}); {EVIDENCE[manifest.evidence]}"
    packing = f", {manifest.compression}" if manifest.compression else ""
    yield "stored", f"{manifest.format}{packing}, {shape} {dtype}, {', '.join(band.name for band in manifest.bands)}"
    yield from (("found", line) for line in manifest.discovered)
    yield "records", f"{sum(counts.values()) + unused + bad:,}: {found}"
    for reason, n in sorted(manifest.unused.items()):
        yield "unused", f"{n:,} {reason}"
    policy = manifest.split_policy
    yield "split", f"{policy.policy}, seed {policy.seed}"
    yield "leakage", _leakage(policy.leakage, counts["test"])
    if bad:
        yield "quarantined", f"{bad:,} bad records are {'missing from this build' if reused else 'left out'}:"
        for record in manifest.quarantine[:MOST]:
            yield "", f"{record.path}: {record.reason}"
        if bad > MOST:
            yield "", f"and {bad - MOST:,} more: see `quarantine` in manifest.json"
    for step in manifest.applied:
        yield "baked", f"{step.step}: {', '.join(f'{name} {_brief(value)}' for name, value in step.parameters.items())}"
    if clipped := {band: n for band, n in manifest.clipped.items() if n}:
        yield "clipped", ", ".join(f"{band} {n:,} pixels" for band, n in clipped.items())
    if normal := manifest.normalization:
        bands = [band.name for band in manifest.bands]
        figures = (f"{band} mean {normal.mean[band]:.4g}, std {normal.std[band]:.4g}" for band in bands)
        units = ", ".join(dict.fromkeys(map(_unit, normal.units.values())))
        yield "train", f"{'; '.join(figures)}  ({units})"


def _leakage(share: float | str, tests: int) -> str:
    if isinstance(share, str):
        return f"unknown: {'footprints are missing' if tests else 'there is no test record'}"
    return f"{share:.1%} of the test patches touch a train patch".replace("%", " %")


def _brief(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_brief, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _unit(unit: str) -> str:
    return {"1": "z-score", "minmax": "fraction of the train range"}.get(unit, unit)


def drop(build: Build) -> None:
    """Remove a sealed build; it is renamed first, so that no half of it ever looks like a build."""
    gone = build.path.with_name(f".{build.path.name}.dropped")
    shutil.rmtree(gone, ignore_errors=True)
    os.rename(build.path, gone)
    shutil.rmtree(gone)
    click.echo(f"removed {build.path}", err=True)
