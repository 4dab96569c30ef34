"""Carry out a request with a meter and print the result: a summary on stderr, path or JSON on stdout."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import click

from sar_data.cli.console import line, say
from sar_data.errors import SarDataError
from sar_data.progress import WARNING
from sar_data.spec import EVIDENCE, sample_shape
from sar_data.split.cost import split_cost
from sar_data.split.policy import SPLITS

if TYPE_CHECKING:
    from sar_data.builder.itinerary import BuildResult, Request
    from sar_data.cli.stop import Note
    from sar_data.runners import Runner
    from sar_data.sealed.manifest import Manifest
    from sar_data.system.store import Place

OF_BAKING = ("stored", "baked", "clipped", "masked", "train")
MASKED = {"nodata": "no data, declared by the source", "nan": "NaN", "inf": "infinite"}
MOST = 3  # quarantined records named in the summary; the manifest has them all


def carry_out(request: Request, runner: Runner, note: Note, out: Place, *, as_json: bool = False) -> None:
    """Run the steps of a request whose builds are kept below `out`, and print a summary of each build."""
    from sar_data.builder.itinerary import Itinerary
    from sar_data.cli.meter import Meter
    from sar_data.cli.transfers import Transfers

    itinerary, meter = Itinerary(request), Meter()
    note.describe_kept = lambda: meter.describe_kept(out)
    shown: list[BuildResult] = []
    with ExitStack() as live, closing(itinerary.steps()) as steps:
        for step in steps:
            if step.name == "prepare":
                meter = live.enter_context(Meter())
            if step.name == "fetch":
                with Transfers() as transfers:
                    step.run(runner, transfers, transfers.say)
                continue
            result = step.run(runner, meter, meter.say)
            if step.name == "prepare":
                draft = result[0]  # the others have the same samples
                meter.set_sizes(draft.job.layout.image_bytes(), max(shard.slots for shard in draft.shards))
            elif step.name == "seal":
                live.close()
                for sealed in result:
                    summary(sealed, brief=step.baking)
                    shown.append(sealed)
            elif step.name == "drop parent":
                click.echo(f"removed {result}", err=True)
    for result in itinerary.results:
        if result not in shown:
            summary(result)
        if not result.reused:
            _report(result)
    if as_json:
        documents = [facts(result) for result in itinerary.results]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(str(result.build.place) for result in itinerary.results))


def _report(result: BuildResult) -> None:
    """Write the report of a new build beside it; a build is complete without one. A store gets none."""
    from sar_data.reports.build import report

    if result.build.files is not None:
        return

    try:
        click.echo(f"  {'report':12} {report(result.build)}", err=True)
    except SarDataError as error:
        say(f"  {'report':12} not written: {error}")


def summary(result: BuildResult, *, brief: bool = False) -> None:
    """Print a summary of a build; `brief` prints only what baking changed."""
    build = result.build
    click.echo(f"\n{build.place}: {'sealed already, nothing to do' if result.reused else 'sealed'}", err=True)
    for name, value in _lines(build.manifest, result.reused):
        if not brief or name in OF_BAKING:
            line(f"  {name:12} ", value, err=True)


def facts(result: BuildResult) -> dict[str, Any]:
    """Return the facts of a build for JSON."""
    manifest = result.build.manifest
    return {
        "path": str(result.build.place),
        "reused": result.reused,
        "parent": result.parent and str(result.parent),
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
        "cost": dataclasses.asdict(split_cost(manifest.splits, manifest.unused)),
        "leakage": {name: figure.value for name, figure in manifest.leakage.items()},
    }


def _lines(manifest: Manifest, reused: bool) -> Iterator[tuple[str, str]]:
    from sar_data.sealed.leakage import pair, sentences

    counts = {split: manifest.splits[split].count for split in SPLITS}
    unused, bad = sum(manifest.unused.values()), len(manifest.quarantine)
    records = ", ".join(f"{name} {n:,}" for name, n in {**counts, "unused": unused, "quarantined": bad}.items())
    dtype = manifest.storage.dtype
    shape = sample_shape(manifest.frames, len(manifest.bands), manifest.shape)
    variant = f", {manifest.variant}" if manifest.variant else ""
    yield "dataset", f"{manifest.title} ({manifest.dataset} {manifest.version}{variant}); {EVIDENCE[manifest.evidence]}"
    packing = f", {manifest.compression}" if manifest.compression else ""
    yield "stored", f"{manifest.format}{packing}, {shape} {dtype}, {', '.join(band.name for band in manifest.bands)}"
    for text in filter(None, (manifest.layout, *manifest.discovered)):
        yield ("warning", text.removeprefix(WARNING)) if text.startswith(WARNING) else ("found", text)
    yield "records", f"{sum(counts.values()) + unused + bad:,}: {records}"
    here, published = sum(counts.values()) + unused, manifest.records_published
    if published is not None and here < published:
        yield "incomplete", f"{here:,} of {published:,} published records"
    for reason, n in sorted(manifest.unused.items()):
        yield "unused", f"{n:,} {reason}"
    if manifest.dropped_objects:
        yield "dropped", ", ".join(f"{n:,} {reason}" for reason, n in manifest.dropped_objects.items())
    policy = manifest.split_policy
    yield "split", f"{policy.policy}, seed {policy.seed}"
    if kept := policy.notes.get("kept"):
        yield "kept", f"{kept['records']:,} records of a build, {kept['new']:,} new, {kept['gone']:,} gone"
    if cost := split_cost(manifest.splits, manifest.unused).sentence():
        yield "cost", cost
    if empty := [split for split in SPLITS if not counts[split]]:
        yield "empty", f"{' and '.join(empty)}: no record is there"
    yield from (("leakage", text) for text in sentences(pair(manifest.leakage)))
    if bad:
        yield "quarantined", f"{bad:,} bad records are {'missing from this build' if reused else 'left out'}:"
        for record in manifest.quarantine[:MOST]:
            yield "", f"{record.path}: {record.reason}"
        if bad > MOST:
            yield "", f"and {bad - MOST:,} more: see `quarantine` in manifest.json"
    for step in manifest.applied:
        parameters = ", ".join(
            f"{name} {_brief(value)}" for name, value in step.parameters.items() if name != "warning"
        )
        yield "scaled" if step.step == "scale" else "baked", f"{step.step}: {parameters}"
    if clipped := {band: n for band, n in manifest.clipped.items() if n}:
        yield "clipped", ", ".join(f"{band} {n:,} pixels" for band, n in clipped.items())
    if manifest.unvalued:
        unvalued = ", ".join(f"{band} {n:,}" for band, n in manifest.unvalued.items())
        yield "masked", f"{unvalued} pixels without a value in the new unit"
    if masked := _masked_share(manifest):
        yield "masked", masked
    if normal := manifest.normalization:
        figures = ("{} mean {}, std {}".format(band.name, *normal.digits(band.name)) for band in manifest.bands)
        units = ", ".join(dict.fromkeys(map(_unit, normal.units.values())))
        yield "train", f"{'; '.join(figures)}  ({units})"


def _masked_share(manifest: Manifest) -> str:
    """Return how many pixels of all bands and splits are masked, by reason; an empty text where none is."""
    bands = [band for split in (manifest.statistics or {}).values() for band in split.bands.values()]
    counts = Counter[str]()
    for band in bands:
        counts.update(band.masked)
    total = sum(counts.values())
    share = total / max(total + sum(band.count for band in bands), 1)
    reasons = ", ".join(f"{n:,} {MASKED[reason]}" for reason, n in counts.items() if n)
    return f"{share:.2%} of the pixels: {reasons}" if reasons else ""


def _brief(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_brief, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _unit(unit: str) -> str:
    return {"1": "z-score", "minmax": "fraction of a range"}.get(unit, unit)
