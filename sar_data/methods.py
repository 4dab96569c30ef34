"""What a paper says of a build or a run: a paragraph of methods, and the entries of its bibliography.

All of it is read from the sealed documents; what they do not say is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sar_data.errors import BuildError, UsageError
from sar_data.naming import few
from sar_data.sealed.leakage import WITHIN, pair, sentences
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.spec import UNCITED
from sar_data.split.policy import SPLITS
from sar_data.text import tex

TOOL = "sar-data"
CITED = re.compile(r"\[@([A-Za-z0-9.:-]+)\]")  # a key of the bibliography in a paragraph, as `_key` makes it
SETTINGS = ("optimiser", "lr", "weight_decay", "batch_size", "accumulate", "epochs", "augment", "loss", "amp")
"""Options that a paper tells of a run, beside model, weights, seed and normalization, in this order."""
CHOSEN = {
    "last": "The model is that of the last epoch.",
    "carved": "The model is chosen on a part of train.",
    "test": "The model is chosen on test itself, as published, so that its figures there are biased upwards.",
}
UNITS = {"1": "no unit", "minmax": "fractions of the train range"}


@dataclass(frozen=True, slots=True)
class Citation:
    """`methods` is one paragraph with keys as [@key]; `bibtex` the entries of these keys."""

    methods: str
    bibtex: str

    @property
    def plain(self) -> str:
        """The paragraph with keys in brackets."""
        return CITED.sub(r"[\1]", self.methods)

    @property
    def latex(self) -> str:
        """The paragraph as LaTeX sets it, with \\cite."""
        parts = CITED.split(self.methods)
        return "".join(f"\\cite{{{part}}}" if i % 2 else tex(part) for i, part in enumerate(parts))


def cite(path: str | Path) -> Citation:
    """Return the methods and the bibliography of a sealed build, or of a finished run and the builds that it was of.

    Raises BuildError or RunError where a document cannot be read, UsageError where there is neither.
    """
    path = Path(path)
    if (path / NAME).is_file():
        return _citation([Manifest.load(path)])
    if not (path / "config.json").is_file():
        raise UsageError(f"{path}: expected a sealed build or a training run, found no {NAME} and no config.json")
    from sar_data.train import documents

    config, metrics = documents.config(path), documents.metrics(path)
    manifests = [_manifest_of(path, about) for about in documents.builds(config)]
    return _citation(manifests, *_describe_training(config, metrics))


def _manifest_of(run: Path, about: Mapping[str, Any]) -> Manifest:
    try:
        manifest = Manifest.load(Path(about["path"]))
    except (BuildError, OSError):
        manifest = None
    if manifest is None or manifest.content_digest != about["content_digest"]:
        raise UsageError(
            f"{run}: expected the build of this run at {about['path']}, with the content digest "
            f"{about['content_digest'][:8]}…, found none: move it back, or cite both apart"
        )
    return manifest


def _citation(manifests: Sequence[Manifest], *more: str) -> Citation:
    built = (sentence for manifest in manifests for sentence in _built(manifest))
    entries: dict[str, str] = {}
    for manifest in manifests:
        for key, entry in _entries(manifest):
            entries.setdefault(key, entry)
    return Citation(" ".join((*built, *more)), "\n\n".join(entries.values()))


def _built(manifest: Manifest) -> Iterator[str]:
    """Yield the sentences of a build: data, version, split, leakage, statistics, normalization, digests."""
    variant = f", {manifest.variant}" if manifest.variant else ""
    yield (
        f"We use {manifest.title} (version {manifest.version}{variant}) [@{_key(manifest.dataset)}], prepared with "
        f"{TOOL} {manifest.sar_data_version} [@{TOOL}]."
    )
    size = "images of several sizes" if manifest.shape is None else "{} × {} pixels".format(*manifest.shape)
    pixel = f" of {manifest.pixel_size_m:g} m" if manifest.pixel_size_m else ""
    bands = ", ".join(f"{band.name} ({UNITS.get(band.unit, band.unit)})" for band in manifest.bands)
    yield f"The bands are {bands}; samples are {size}{pixel}."
    policy = manifest.split_policy
    given = ", ".join(f"{name} {_shown(value)}" for name, value in policy.parameters.items())
    if policy.lists:  # the other parameters say how to read them
        given = f"by the published lists {few(policy.lists)}"
    counts = ", ".join(f"{manifest.splits[name].count:,} {name}" for name in SPLITS)
    yield f"The split is {policy.policy}{f' ({given})' if given else ''}, seed {policy.seed}: {counts} samples."
    left_out = [f"{n:,} {reason}" for reason, n in sorted(manifest.unused.items())]
    if manifest.quarantine:
        left_out.append(f"{len(manifest.quarantine):,} cannot be read")
    if left_out:
        yield f"Not used: {few(left_out)}."
    shares = {name: figure for name, figure in pair(manifest.leakage).items() if name not in WITHIN}
    if leaking := list(sentences(shares)):
        yield f"Leakage: {'; '.join(leaking)}."
    steps = [
        f"{step.step} ({', '.join(f'{k} {_shown(v)}' for k, v in step.parameters.items() if k != 'warning')})"
        for step in manifest.applied
    ]
    yield (
        f"Changed since the published files: {'; '.join(steps)}."
        if steps
        else "Values are those of the published files."
    )
    if normal := manifest.normalization:
        figures = (
            "{} mean {}, standard deviation {}".format(band.name, *normal.digits(band.name)) for band in manifest.bands
        )
        yield f"Statistics are of the valid pixels of train alone: {'; '.join(figures)}."
    yield f"The content digest is {manifest.content_digest}."


def _describe_training(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sentences of a run: model, weights, options, normalization, seed, choice, figures."""
    from sar_data.train import documents
    from sar_data.train.metrics import title_of

    if config.get("builds"):
        mix = config["together"].get("mix")
        drawn = f", drawn in the proportions {_shown(mix).replace(' ', ' : ')}" if mix else ""
        yield f"These {len(config['builds'])} builds are used as one set{drawn}."
    given = config["settings"]
    preset = f" by the preset {config['preset']}" if config.get("preset") else ""
    weights = config.get("weights") or {}
    digest = f" (sha256 {weights['sha256'][:16]}…)" if weights.get("sha256") else ""
    origin = given.get("weights") or given.get("init")
    start = f"starting from {origin}{digest}" if origin else "starting from random numbers"
    yield f"We train {given.get('model')} (job {config['job']}{preset}), {start}, with seed {given.get('seed')}."
    settings = [f"{name.replace('_', ' ')} {_shown(given[name])}" for name in SETTINGS if given.get(name) is not None]
    yield f"Options: {', '.join(settings)}; images are normalized by {given.get('normalize')}."
    if chosen := (metrics.get("selection") or {}).get("on"):
        yield CHOSEN.get(chosen, f"The model is chosen on {chosen}.")
    for split, values in documents.figures(metrics).items():
        if split != "test":
            continue
        intervals = values.get("intervals") or {}
        figures = [
            _figure(title_of(name), value, intervals.get(name))
            for name, value in values.items()
            if isinstance(value, float)
        ]
        yield f"On {values['count']:,} {split} samples: {', '.join(figures)}."
        if method := intervals.get("method"):
            yield f"Brackets are intervals of 95 %, {method}."


def _figure(title: str, value: float, ends: Any) -> str:
    known = isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, float) for end in ends)
    return f"{title} {value:.3f}{f' [{ends[0]:.3f}, {ends[1]:.3f}]' if known else ''}"


def _entries(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield keys and entries of the data and of the tool."""
    fields = {"title": manifest.title, "version": manifest.version}
    citation = manifest.citation
    if match := re.match(r"(?P<author>[^,]+?) et al\. (?P<year>\d{4}), ", citation):
        fields = {"author": f"{match['author']} and others", **fields, "year": match["year"]}
    if match := re.search(r"\bdoi:(10\.[\d.]+/[\w.;()/:+-]+)", citation):
        fields["doi"] = match[1]
    if match := re.search(r"\barXiv:(\d{4}\.\d{4,5})", citation):
        fields |= {"eprint": match[1], "archiveprefix": "arXiv"}
    fields["note"] = f"Licence: {manifest.licence}"
    if citation != UNCITED:
        fields["note"] = f"{citation}. {fields['note']}"
    yield (key := _key(manifest.dataset)), _entry("misc", key, fields)
    fields = {"title": f"{TOOL}: SAR datasets as sealed, training-ready builds", "version": manifest.sar_data_version}
    yield TOOL, _entry("software", TOOL, fields)


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    width = max(map(len, fields))
    lines = (f"  {name:<{width}} = {{{value if name == 'doi' else tex(value)}}}" for name, value in fields.items())
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}"


def _key(name: str) -> str:
    """Return a name as a key of a bibliography."""
    return re.sub(r"[^A-Za-z0-9.:-]", "-", name)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_shown, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
