"""A model's card in Markdown: what it does, on what it was trained, how good it is, and what it is not for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from sar_data.errors import RunError
from sar_data.spec import MASKED
from sar_data.text import markdown
from sar_data.train import documents
from sar_data.train.families import UNKNOWN
from sar_data.train.inference.finished import Finished
from sar_data.train.request import SPLITS
from sar_data.train.weights.known import is_non_commercial

ASIDE = ("count", "intervals", "per_class", "confusion", "without_support")  # of a split's figures
KINDS = {
    "multiclass": "says one class of each image",
    "multilabel": "says which of several labels an image has",
    "segmentation": "says a class of each pixel",
    "change": "says of each pixel what changed between the dates of a place",
    "detection": "finds objects as horizontal boxes",
}


def text(finished: Finished, described: Mapping[str, Any]) -> str:
    """Return the card of an exported model, from what its run recorded; raise RunError where that is not a run's."""
    try:
        return _text(finished, described)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(
            f"{finished.path}: expected what a card tells of a run, found other fields: {error!r}"
        ) from error


def _text(finished: Finished, described: Mapping[str, Any]) -> str:
    datasets = json.dumps([one["dataset"] for one in documents.builds(finished.config)])  # which is YAML, too
    finished = replace(finished, config=_plain(finished.config))
    build, metrics = finished.config["build"], _plain(documents.metrics(finished.path))
    title = build.get("title", build["dataset"])
    lines = [
        "---",
        "tags: [sar, remote-sensing]",
        f"datasets: {datasets}",
        "---",
        f"# {finished.settings.model} on {title}",
        "",
        f"A model that {KINDS[finished.input.kind]}: `sar-data train {finished.job}` of sar-data "
        f"{finished.config['environment']['sar-data']}.",
        *_section("What it takes and says", _taken(finished, described)),
        *_section("Data", chain.from_iterable(map(_data, documents.builds(finished.config)))),
        *_section("Leakage between the splits", _leakage(metrics.get("leakage", {}))),
        *_section("Figures", _figures(metrics)),
        *_section("Licence", _licence(finished)),
        *_section("What it is not for", _limits(finished)),
    ]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    """Return a part of a document whose texts are no markup: the run may be a stranger's."""
    if isinstance(value, Mapping):
        return {markdown(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [*map(_plain, value)]
    return markdown(value) if isinstance(value, str) else value


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return ["", f"## {title}", *lines]


def _taken(finished: Finished, described: Mapping[str, Any]) -> Iterator[str]:
    shape = ", ".join(map(str, described["input"]["shape"]))
    units = ", ".join(f"{name} in {unit or 'the units of its build'}" for name, unit in finished.input.units.items())
    yield f"- `images`, float32 [{shape}]: {units}; NaN is no data. Normalization is inside."
    yield f"- Answers: {', '.join(described['output'])}."
    yield f"- Classes, in this order: {', '.join(map(markdown, finished.input.classes))}."
    checked = described["checked"]
    yield f"- Checked on {checked['samples']}: at most {checked['furthest']:.1g} from the run's own answers."


def _data(build: Mapping[str, Any]) -> Iterator[str]:
    samples = build["samples"]
    counts = ", ".join(f"{name} {samples[name]:,}" for name in SPLITS if name in samples)
    yield f"- {build.get('title', build['dataset'])}, version {build['version']}{_variant(build)}."
    yield f"- Split `{build['split_policy']}`: {counts}."
    yield f"- Content digest `{build['content_digest']}`, recipe digest `{build['recipe_digest']}`."
    if citation := build.get("citation"):
        yield f"- {citation}"


def _variant(build: Mapping[str, Any]) -> str:
    return f", variant {build['variant']}" if build.get("variant") else ""


def _leakage(card: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line a figure; those that nobody knows are one line."""
    known = {name: figure for name, figure in card.items() if figure.get("value") is not None}
    for name, figure in known.items():
        yield f"- {name}: {figure['value']:.1%} of {figure['of']:,}"
    if unknown := [name for name in card if name not in known]:
        yield f"- not known: {', '.join(unknown)}"
    if not card:
        yield "- not recorded by the run"


def _figures(metrics: Mapping[str, Any]) -> Iterator[str]:
    for split, figures in metrics.items():
        if not isinstance(figures, Mapping) or "count" not in figures:
            continue
        intervals = figures.get("intervals", {})
        yield f"- {split}, {figures['count']:,} samples" + (
            f" ({figures['chosen_on']}: the epoch was chosen on it)" if "chosen_on" in figures else ""
        )
        for name, value in figures.items():
            if name not in ASIDE and isinstance(value, float):
                span = intervals.get(name)
                yield f"  - {name} {value:.4f}" + (f" [{span[0]:.4f}, {span[1]:.4f}]" if span else "")
        if sure := figures.get("calibration", {}):
            ece, brier = (f"{sure[name]:.4f}" if sure[name] is not None else "not known" for name in ("ece", "brier"))
            yield f"  - calibration: expected error {ece}, Brier score {brier}"
        if method := intervals.get("method"):
            yield f"  - intervals: {method}"
    if limits := metrics.get("thresholds"):
        told = ", ".join(f"{name} {value:.3f}" for name, value in limits["values"].items())
        yield f"- thresholds of the labels, chosen on {limits['chosen_on']} for F1: {told}"


def _licence(finished: Finished) -> Iterator[str]:
    for build in documents.builds(finished.config):
        yield f"- {build.get('title', build['dataset'])}: {build.get('licence') or 'not recorded by the run'}."
    weights = finished.config.get("weights")
    if weights:
        licence = weights.get("licence", UNKNOWN)
        yield (
            f"- It began from weights whose licence holds on: {weights['source']} (SHA-256 `{weights['sha256']}`): "
            f"{licence}{', ask their publisher' if licence == UNKNOWN else ''}."
        )
        if is_non_commercial(licence):
            yield "- That licence allows no commercial use."
    else:
        yield "- It began from no other weights."


def _limits(finished: Finished) -> Iterator[str]:
    yield "- Other sensors, bands, polarizations, units, calibrations or pixel spacings than those of the data above."
    yield "- Places and seasons unlike those of the data: the figures above are of its own test split."
    if finished.caution:
        yield f"- Images unlike those of its builds: {finished.caution}."
    if finished.input.kind in ("multiclass", *MASKED):
        yield f"- Classes that are not in the list: everything is answered by one of {len(finished.input.classes)}."
    else:
        yield "- Classes that are not in the list, of which nothing is said."
    yield "- Decisions about people or safety without someone who checks them."
